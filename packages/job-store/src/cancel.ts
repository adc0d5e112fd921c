/** Cancelling a job: at once where it waits; whoever runs it is told. */
import type { JobState } from '@qarr/router-core';
import { answered } from './answered.ts';
import type { Closing } from './closing.ts';
import { cancelDeadline } from './deadlines.ts';
import type { JobChanges } from './job-changes.ts';
import type { Keys } from './keys.ts';
import type { RedisClient } from './redis-client.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';

/** Cancels. Returns the state after the call, or null when there is no such job. */
export type Cancel = (jobId: string) => Promise<JobState | null>;

export function createCancel({
  redis,
  keys,
  closing,
  changes,
  unbind,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  closing: Closing;
  changes: JobChanges;
  /** From this replica. */
  unbind: (jobId: string) => Promise<void>;
  onError: (error: Error) => void;
}): Cancel {
  return async (jobId) => {
    const reply = (await answered(
      runScript(redis, 'cancel', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun],
      }),
    )) as ['gone'] | [JobState, cancelAt: number, hasEnded: 0 | 1];
    const [state, cancelAt, hasEnded] = reply;
    if (state === 'gone') {
      // It was bound before it should have been written, and was not.
      await unbind(jobId).catch(onError);
      return null;
    }
    if (state === 'running') {
      const due = cancelDeadline(cancelAt);
      await answered(
        Promise.all([
          redis.publish(keys.controlChannel, `cancel ${jobId}`),
          // Where its worker does not hear of it, the sweep ends it.
          redis.zadd(keys.deadlines, 'LT', due, jobId),
        ]),
      );
    }
    if (hasEnded === 1) await changes.tell(jobId, 'cancelled');
    // It will not run in any case; this only tidies up, and the sweep does it again.
    if (state === 'cancelled') await closing.close(jobId).catch(onError);
    return state;
  };
}
