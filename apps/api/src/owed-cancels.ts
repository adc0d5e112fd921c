/**
 * Jobs that nobody waits for any more, but that could not be cancelled because Redis did not answer.
 * It is tried again until it is done or the job is over.
 */
import type { JobState } from '@qarr/router-core';

const RETRY_MS = 1_000;
/** A write whose outcome is unknown may appear for so long; see the store's limit for it. */
const APPEARS_WITHIN_MS = 10_000;

export interface OwedCancels {
  /** Resolves after the first try. `mayAppear`: it is not known whether the job has been written. */
  owe(jobId: string, options?: { mayAppear: boolean }): Promise<void>;
  /** Tries once more. What is left then is cancelled by the sweep of the other replicas. */
  stop(): Promise<void>;
}

export function createOwedCancels({
  cancel,
  owedMax,
  onForgotten,
}: {
  /** Returns null when there is no such job. */
  cancel: (jobId: string) => Promise<JobState | null>;
  /** Jobs that are remembered; a further one pushes the oldest out, which then runs to its end. */
  owedMax: number;
  onForgotten: (jobId: string) => void;
}): OwedCancels {
  /** Until when a job that is not there may still appear. */
  const owed = new Map<string, number>();
  let isPaying = false;

  /** Returns whether Redis has answered. */
  async function pay(jobId: string): Promise<boolean> {
    const appearsUntilMs = owed.get(jobId) ?? 0;
    try {
      const state = await cancel(jobId);
      if (state !== null || performance.now() >= appearsUntilMs) owed.delete(jobId);
      return true;
    } catch {
      return false;
    }
  }

  async function payAll(): Promise<void> {
    if (isPaying) return;
    isPaying = true;
    for (const jobId of owed.keys()) if (!(await pay(jobId))) break;
    isPaying = false;
  }

  const retrying = setInterval(() => void payAll(), RETRY_MS);

  return {
    async owe(jobId, { mayAppear } = { mayAppear: false }) {
      const [oldest] = owed.keys();
      if (oldest !== undefined && owed.size >= owedMax) {
        owed.delete(oldest);
        onForgotten(oldest);
      }
      owed.set(jobId, mayAppear ? performance.now() + APPEARS_WITHIN_MS : 0);
      await pay(jobId);
    },
    async stop() {
      clearInterval(retrying);
      await payAll();
    },
  };
}
