import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.ts';

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

/** A pace without lag. */
export function createPace(deps: { clock: Clock; signal: AbortSignal }): Pace {
  const { clock, signal } = deps;
  let dueMs = clock.now();

  async function pass(costMs: number): Promise<void> {
    const nowMs = clock.now();
    dueMs = Math.max(dueMs, nowMs - LAG_MAX_MS) + costMs;
    const waitMs = dueMs - nowMs;
    if (waitMs < SLEEP_MIN_MS || signal.aborted) {
      await nextTurn();
      return;
    }
    await clock.sleep(waitMs, signal);
  }

  return { pass };
}
