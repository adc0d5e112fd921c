/** The first requests of an engine, before any job: they are slow, and show what it can do. */
import type { Capabilities } from '../capabilities.ts';
import { askForToken } from './chat-probe.ts';
import type { ChatAnswer } from './chat-probe.ts';
import type { Exchanges } from './exchange.ts';
import { guessCapabilities, learn } from './learn.ts';

/** As many as warm a batch, few enough not to be in the way of others that use the engine. */
const AT_ONCE_MAX = 4;
/** The very first request may compile kernels. */
const WARM_UP_TIMEOUT_MS = 60_000;
/** One that fails among many that do not is no reason to wait; so many in a row are. */
const FAILURES_IN_A_ROW_MAX = 3;

export type Warmed =
  | {
      kind: 'warmed';
      capabilities: Capabilities;
      /** How long it took for one token, at best; null where it was not asked often enough to tell. */
      tokenMs: number | null;
    }
  | { kind: 'unreachable'; cause: string }
  /** It has too much to do, or loads. */
  | { kind: 'busy'; cause: string }
  | { kind: 'failed'; cause: string };

/** With `requests` 0 the engine is not asked at all: nobody may be billed for that. */
export async function warmUp(
  exchanges: Exchanges,
  {
    version,
    requests,
    isCareful,
    onFailure,
    ...asking
  }: {
    version: string | null;
    requests: number;
    /** One request at a time. */
    isCareful: boolean;
    /** Of one request that was not answered as it should be. */
    onFailure: (cause: string) => void;
    model: string;
    signal: AbortSignal;
  },
): Promise<Warmed> {
  if (requests === 0) {
    return { kind: 'warmed', capabilities: guessCapabilities(version), tokenMs: null };
  }
  const options = { ...asking, timeoutMs: WARM_UP_TIMEOUT_MS };
  const trials = createTrials(onFailure);
  let learnt = await learn(exchanges, { version, ...options });
  while (learnt.kind !== 'learnt') {
    const verdict = trials.judge(learnt);
    if (verdict !== null) return verdict;
    learnt = await learn(exchanges, { version, ...options });
  }

  let left = requests - 1;
  let verdict: Warmed | null = null;
  let tokenMs: number | null = null;
  async function ask(): Promise<void> {
    while (left > 0 && verdict === null) {
      left -= 1;
      const askedMs = performance.now();
      const answer = await askForToken(exchanges, options);
      // The slower ones have compiled kernels, or waited for those that did.
      const tookMs = performance.now() - askedMs;
      if (answer.kind === 'whole') tokenMs = Math.min(tokenMs ?? Infinity, tookMs);
      verdict ??= trials.judge(answer);
    }
  }
  const atOnce = isCareful ? 1 : AT_ONCE_MAX;
  await Promise.all(Array.from({ length: Math.min(left, atOnce) }, ask));
  return verdict ?? { kind: 'warmed', capabilities: learnt.capabilities, tokenMs };
}

/** Returns what the failures come to, once that is clear. */
function createTrials(onFailure: (cause: string) => void) {
  let failures = 0;
  return {
    judge(answer: ChatAnswer): Exclude<Warmed, { kind: 'warmed' }> | null {
      if (answer.kind === 'unreachable') return answer;
      if (answer.kind === 'whole') {
        failures = 0;
        return null;
      }
      failures += 1;
      onFailure(causeOf(answer));
      if (failures < FAILURES_IN_A_ROW_MAX) return null;
      return { kind: answer.kind === 'busy' ? 'busy' : 'failed', cause: causeOf(answer) };
    },
  };
}

export function causeOf(answer: Exclude<ChatAnswer, { kind: 'whole' }>): string {
  switch (answer.kind) {
    case 'refused':
      return `refused with ${answer.status}`;
    case 'busy':
      return `status ${answer.status}`;
    default:
      return answer.cause;
  }
}
