/**
 * A circuit breaker for each tier: the machine of the workers, asked before each try of a foreground
 * answer and told after it. It says nothing about the queue, which is what there is when it is open.
 */
import { BREAKER_DEFAULTS, askBreaker, closedBreaker, settleBreaker } from '@qarr/router-core';
import type { Breaker, CallOutcome, Permit } from '@qarr/router-core';
import { QarrClientError } from './errors.ts';
import type { BreakerSettings, ClientOptions } from './options.ts';

const RESET_TIMEOUT_MS = 30_000;
/** More names than anybody has tiers; the oldest is forgotten. */
const TIERS_MAX = 64;

/** Refusals that say only that there is too much to do, and failures that are the request's own. */
const NEUTRAL_CODES: ReadonlySet<string> = /* #__PURE__ */ new Set([
  'queue_full',
  'overloaded',
  'batch_paused',
  'storage_full',
  'shutting_down',
  'poison',
]);

export interface Breakers {
  /** Makes one call. Throws `breaker_open` instead where none may be made now. */
  guard<T>(tier: string, call: () => Promise<T>): Promise<T>;
  /** A call that needed no leave has failed. */
  tell(tier: string, error: unknown): void;
}

export function createBreakers({
  breaker: settings = {},
  onBreakerChange,
}: Pick<ClientOptions, 'breaker' | 'onBreakerChange'>): Breakers {
  const options = {
    ...BREAKER_DEFAULTS,
    resetTimeoutMs: RESET_TIMEOUT_MS,
    ...withoutUndefined(settings),
  };
  const breakers = new Map<string, Breaker>();

  function breakerOf(tier: string): Breaker {
    return breakers.get(tier) ?? closedBreaker(performance.now());
  }

  function become(tier: string, next: Breaker): void {
    const from = breakerOf(tier).kind;
    if (!breakers.has(tier) && breakers.size >= TIERS_MAX) {
      const [oldest = ''] = breakers.keys();
      breakers.delete(oldest);
    }
    breakers.set(tier, next);
    if (next.kind !== from) onBreakerChange?.({ tier, from, to: next.kind });
  }

  function settle(tier: string, permit: Permit, outcome: CallOutcome): void {
    const nowMs = performance.now();
    const random = Math.random();
    become(tier, settleBreaker(breakerOf(tier), { permit, outcome, nowMs, random, options }));
  }

  return {
    async guard(tier, call) {
      const asked = askBreaker(breakerOf(tier), performance.now());
      become(tier, asked.breaker);
      if (asked.kind === 'wait') throw openError(tier, asked.retryInMs);
      let outcome: CallOutcome = 'neutral';
      try {
        const answer = await call();
        outcome = 'succeeded';
        return answer;
      } catch (error) {
        outcome = outcomeOf(error);
        throw error;
      } finally {
        settle(tier, asked.permit, outcome);
      }
    },
    tell(tier, error) {
      const breaker = breakerOf(tier);
      if (breaker.kind === 'closed') settle(tier, { serial: breaker.serial }, outcomeOf(error));
    },
  };
}

/** Hard failures are those that only a broken callee has. */
function outcomeOf(error: unknown): CallOutcome {
  if (!(error instanceof QarrClientError) || NEUTRAL_CODES.has(error.code)) return 'neutral';
  if (error.code === 'network_error' || error.code === 'timeout') return 'failed';
  return error.status !== null && error.status >= 500 ? 'failed' : 'neutral';
}

function openError(tier: string, retryInMs: number | null): QarrClientError {
  return new QarrClientError({
    code: 'breaker_open',
    message: `The tier ${tier} has failed too often and is not asked now.`,
    // Not by the client itself, for which it would be the same in a moment.
    retryable: false,
    retryAfterMs: retryInMs === null ? null : Math.ceil(retryInMs),
  });
}

function withoutUndefined(settings: BreakerSettings): Partial<typeof BREAKER_DEFAULTS> {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as Partial<typeof BREAKER_DEFAULTS>;
}
