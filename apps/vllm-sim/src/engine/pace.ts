import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

/**
 * Lets time pass for steps of a given cost. Timers are coarse (1 ms), so what one wait slept too
 * long is taken off the next: the average is exact. A lag beyond LAG_MAX_MS is forgotten, so that a
 * blocked process does not rush afterwards.
 */
export type Pace = {
  /** Resolves after `costMs`, or at once when aborted; always lets the event loop turn. */
  pass(costMs: number): Promise<void>;
};

const LAG_MAX_MS = 20;
/** Below this a timer would oversleep by more than the wait itself. */
const SLEEP_MIN_MS = 0.5;

/** A pace without lag. @param deps.now a monotonic clock in milliseconds */
export function createPace(deps: { now: () => number; signal: AbortSignal }): Pace {
  let dueMs = deps.now();

  async function pass(costMs: number): Promise<void> {
    const nowMs = deps.now();
    dueMs = Math.max(dueMs, nowMs - LAG_MAX_MS) + costMs;
    const waitMs = dueMs - nowMs;
    if (waitMs < SLEEP_MIN_MS || deps.signal.aborted) {
      await nextTurn();
      return;
    }
    await sleep(waitMs, undefined, { signal: deps.signal }).catch(() => {
      // Aborted: the caller looks at its own state next.
    });
  }

  return { pass };
}
