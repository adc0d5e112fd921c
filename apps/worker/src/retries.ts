/** How fast this worker tries jobs again: its budget, and when each may go. */
import { addSuccess, fullRetryBudget, takeRetry } from '@qarr/router-core';

export interface Retries {
  /** A job was answered, which pays for a part of a retry. */
  noteSuccess(): void;
  /** Milliseconds before which the next retry must not be made. */
  delayMs(): number;
}

export function createRetries(
  retriesPerSuccess: number,
  now: () => number = () => performance.now(),
): Retries {
  let budget = fullRetryBudget(now());
  return {
    noteSuccess() {
      budget = addSuccess(budget, now(), retriesPerSuccess);
    },
    delayMs() {
      const taken = takeRetry(budget, now());
      ({ budget } = taken);
      return taken.delayMs;
    },
  };
}
