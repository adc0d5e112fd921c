/**
 * The limits of API keys, which all replicas share: requests in a minute, open jobs, tokens in a day.
 *
 * A job takes its place and its tokens before it is written, and gives them back when it is closed,
 * but for the tokens that it has used. Where a crash leaves a place without a job, its time runs out.
 *
 * Several may write the same job at once, under its idempotency key. What it holds is given back when
 * the last of them has given up.
 */
import { jobEventSchema } from '@qarr/router-core';
import type { JobQuota, NewJob } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { WORKER_GRACE_MS } from './deadlines.ts';
import type { Keys, RequestKind } from './keys.ts';
import { runScript } from './scripts.ts';

/** After its time to run, the sweep ends a job and closes it; it may be busy, or Redis away. */
const CLOSING_MS = 60_000;

/** What is left of a key's tokens. */
export interface TokenBudget {
  /** Null: as many as are asked for. */
  readonly limit: number | null;
  readonly used: number;
  /** Until all of them are there again. */
  readonly resetMs: number;
}

export interface RequestCount {
  readonly isAllowed: boolean;
  /** Until another one of this kind is allowed. */
  readonly retryAfterMs: number;
  /** Requests of this minute that make jobs. */
  readonly submits: { readonly used: number; readonly resetMs: number };
  readonly tokens: Omit<TokenBudget, 'limit'>;
}

type Entered =
  | { readonly kind: 'entered' | 'known'; readonly budget: TokenBudget }
  | { readonly kind: OverQuota; readonly budget: TokenBudget };

/** Which limit is against a job. */
export type OverQuota = 'concurrency' | 'tokens';

export interface Quotas {
  /** Counts a request, unless there were too many. `max`: in a minute; null: it is only looked. */
  count(keyId: string, kind: RequestKind, max: number | null): Promise<RequestCount>;
  /** Takes a place and tokens for a job; one that has them keeps them. */
  enter(job: HeldJob, writer: string): Promise<Entered>;
  /** Gives back what a job holds, unless somebody else may write it. Doing it twice does no harm. */
  giveUp(hold: Hold): Promise<void>;
  /** `tokens`: what it has used; null: all that were taken. */
  leave(keyId: string, jobId: string, tokens: number | null): Promise<void>;
}

/** What one submission has taken for a job. */
export interface Hold {
  readonly keyId: string;
  readonly jobId: string;
  /** Unique to the submission. */
  readonly writer: string;
}

type HeldJob = Pick<NewJob, 'id' | 'queueTimeoutMs' | 'runTimeoutMs'> & { quota: JobQuota };

export function createQuotas({ redis, keys }: { redis: Redis; keys: Keys }): Quotas {
  return {
    async count(keyId, kind, max) {
      const counters = [keys.requests(keyId, kind), keys.requests(keyId, 'submits')];
      const [isAllowed, submits, resetMs, tokens, tokensResetMs, retryAfterMs] = (await runScript(
        redis,
        'quota-count',
        { keys: [...keys.holds(keyId), ...counters], args: [max ?? ''] },
      )) as [number, number, number, number, number, number];
      return {
        isAllowed: isAllowed === 1,
        retryAfterMs,
        submits: { used: submits, resetMs },
        tokens: { used: tokens, resetMs: tokensResetMs },
      };
    },

    async enter({ id, quota, ...job }, writer) {
      const { keyId, concurrency, tokensPerDay: limit, tokens } = quota;
      const limits = [concurrency ?? '', limit ?? ''];
      const args = [id, openMsMax(job), Math.ceil(tokens), ...limits, writer];
      const [kind, used, resetMs] = (await runScript(redis, 'quota-enter', {
        keys: keys.holds(keyId),
        args,
      })) as [Entered['kind'], number, number];
      return { kind, budget: { limit, used, resetMs } };
    },

    async giveUp({ keyId, jobId, writer }) {
      const args = [jobId, writer];
      await runScript(redis, 'quota-give-up', { keys: keys.holds(keyId), args });
    },

    async leave(keyId, jobId, tokens) {
      await runScript(redis, 'quota-leave', {
        keys: keys.holds(keyId),
        args: [jobId, tokens ?? ''],
      });
    },
  };
}

/** A job may wait once more for its time to run where it must run alone. */
function openMsMax({ queueTimeoutMs, runTimeoutMs }: Omit<HeldJob, 'id' | 'quota'>): number {
  return queueTimeoutMs + 2 * runTimeoutMs + WORKER_GRACE_MS + CLOSING_MS;
}

/**
 * What a job has used, by its last event; null where only its engine could have said.
 * @param final the JSON of that event; null where it was removed before its end
 */
export function tokensUsed({
  attempt,
  final,
}: {
  attempt: number;
  final: string | null;
}): number | null {
  if (attempt === 0) return 0;
  if (final === null) return null;
  const event = jobEventSchema.parse(JSON.parse(final));
  if (!('usage' in event)) return null;
  if (event.usage !== null) return event.usage.total_tokens;
  if (event.type === 'completed') return null;
  return ('tokens' in event ? event.tokens : null) ?? 0;
}
