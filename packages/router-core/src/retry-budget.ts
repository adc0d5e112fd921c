/**
 * A budget for retries: some of the calls that succeed pay for those that are made again, so that a
 * callee that fails gets a tenth more load for it, not three times as much. It is a bucket of tokens
 * that fills with successes, and a little with time, so that who has few calls may retry as well.
 *
 * Whoever finds it empty is not refused but waits for the token that is due to it.
 */

/** Retries that a success pays for: one for ten of them. */
export const RETRIES_PER_SUCCESS = 0.1;
const PER_SECOND = 1;
const TOKENS_MAX = 100;
/** Tokens that may be owed, which is how many seconds a retry may wait. */
const DEBT_MAX = 60;

export interface RetryBudget {
  /** Below 0: so many are owed to those who wait. */
  readonly tokens: number;
  readonly atMs: number;
}

export function fullRetryBudget(nowMs: number): RetryBudget {
  return { tokens: TOKENS_MAX, atMs: nowMs };
}

export function addSuccess(
  budget: RetryBudget,
  nowMs: number,
  retriesPerSuccess: number = RETRIES_PER_SUCCESS,
): RetryBudget {
  const { tokens, atMs } = refilled(budget, nowMs);
  return { tokens: tokens + retriesPerSuccess, atMs };
}

/** Takes a token for a retry, which may be made `delayMs` from now. */
export function takeRetry(
  budget: RetryBudget,
  nowMs: number,
): { budget: RetryBudget; delayMs: number } {
  const { tokens } = refilled(budget, nowMs);
  const left = Math.max(-DEBT_MAX, tokens - 1);
  const delayMs = left >= 0 ? 0 : Math.ceil((-left / PER_SECOND) * 1_000);
  return { budget: { tokens: left, atMs: nowMs }, delayMs };
}

/** Whatever has been added is worth no more than the most by the time that it is taken. */
function refilled({ tokens, atMs }: RetryBudget, nowMs: number): RetryBudget {
  const seconds = Math.max(0, nowMs - atMs) / 1_000;
  return { tokens: Math.min(TOKENS_MAX, tokens + seconds * PER_SECOND), atMs: nowMs };
}
