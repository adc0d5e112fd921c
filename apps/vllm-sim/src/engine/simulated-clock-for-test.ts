import type { Clock } from './clock.ts';

type Sleeper = { dueMs: number; wake: () => void };

/**
 * A clock that jumps to whoever wakes next, once the event loop has nothing else to do in a turn.
 * Hours pass in milliseconds, and the same calls give the same times.
 */
export function createSimulatedClock(): Clock {
  const sleepers = new Set<Sleeper>();
  let nowMs = 0;

  function wakeNext(): void {
    const [first, ...others] = sleepers;
    if (first === undefined) return;
    const next = others.reduce((best, other) => (other.dueMs < best.dueMs ? other : best), first);
    sleepers.delete(next);
    nowMs = Math.max(nowMs, next.dueMs);
    next.wake();
  }

  return {
    now: () => nowMs,
    sleep(durationMs, signal) {
      if (signal.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const sleeper = { dueMs: nowMs + durationMs, wake: resolve };
        sleepers.add(sleeper);
        // One turn per sleeper, so each that wakes may go back to sleep before the next is due.
        setImmediate(wakeNext);
        signal.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          resolve();
        });
      });
    },
  };
}
