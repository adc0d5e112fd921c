import { setTimeout as sleep } from 'node:timers/promises';

/** The engine's time: the machine's, or a simulated one in tests. */
export type Clock = {
  /** Monotonic, in milliseconds. */
  now(): number;
  /** Resolves after so long, or at once when aborted. */
  sleep(durationMs: number, signal: AbortSignal): Promise<void>;
};

export const systemClock: Clock = {
  now: () => performance.now(),
  async sleep(durationMs, signal) {
    await sleep(durationMs, undefined, { signal }).catch(() => {
      // Aborted: the caller looks at its own state next.
    });
  },
};
