/**
 * How long to wait before try `attempt` + 1: "full jitter", a random share of an exponentially
 * growing ceiling, which spreads the retries of many clients best
 * (AWS Architecture Blog, "Exponential Backoff and Jitter").
 *
 * @param attempt how many tries have failed, from 1
 * @param random in [0, 1)
 * @returns milliseconds
 */
export function fullJitterMs({
  attempt,
  baseMs,
  capMs,
  random,
}: {
  attempt: number;
  baseMs: number;
  capMs: number;
  random: number;
}): number {
  const ceilingMs = Math.min(capMs, baseMs * 2 ** (attempt - 1));
  return Math.floor(random * ceilingMs);
}
