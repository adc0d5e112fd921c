/**
 * Deletes a job with all that is known of it, in any state.
 *
 * What it holds goes in one step. What lies elsewhere follows: its entries in indexes and queue, its
 * idempotency key. Until that is done the job stands in the index of open jobs with a note of it,
 * so that the sweep goes on where a process died.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminalState } from '@qarr/router-core';
import type { JobState } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { answered } from './answered.ts';
import type { Closing } from './closing.ts';
import type { JobChanges } from './job-changes.ts';
import type { Keys } from './keys.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';

/** A worker lets go of an entry when its engine has stopped, within a second. The sweep waits on. */
const RELEASE_WAIT_MS = 3_000;
const RELEASE_CHECK_MS = 20;
/** Longer than all that is left of a job lives by itself: nobody needs the note after that. */
const NOTE_MS = 2 * 24 * 3_600_000;

export interface Deletion {
  /** Returns false where there is no such job. Throws where it is not known whether it is deleted. */
  delete(jobId: string): Promise<boolean>;
}

export function createDeletion({
  redis,
  keys,
  closing,
  changes,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  closing: Closing;
  changes: JobChanges;
  onError: (error: Error) => void;
}): Deletion {
  async function deleteContent(jobId: string): Promise<'gone' | JobState> {
    const [exists, createdAt] = await redis.hmget(keys.job(jobId), 'state', 'created_at');
    if (!exists) return 'gone';
    const known = await changes.read(jobId);
    // A job that has ended is in this index no more. A Redis that is full refuses it: then what is
    // left goes now, or by its own time.
    await redis.zadd(keys.open, 'NX', Number(createdAt), jobId).catch(onError);
    const state = (await runScript(redis, 'delete', {
      keys: [keys.job(jobId), keys.log(jobId)],
      args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun, NOTE_MS],
    })) as 'gone' | JobState;
    const change = known && { ...known, wasOpen: state !== 'gone' && !isTerminalState(state) };
    if (state !== 'gone') await changes.tell(jobId, 'deleted', change);
    // Whoever was closing it may have taken it out before it saw the note.
    if (state !== 'gone')
      await redis.zadd(keys.open, 'NX', Number(createdAt), jobId).catch(onError);
    if (state === 'running') await redis.publish(keys.controlChannel, `cancel ${jobId}`);
    return state;
  }

  /** What it held is gone, so that nothing of this is a reason to call it failed. */
  async function closeSoon(jobId: string): Promise<void> {
    const deadlineMs = performance.now() + RELEASE_WAIT_MS;
    try {
      while (!(await answered(closing.close(jobId))) && performance.now() < deadlineMs) {
        await sleep(RELEASE_CHECK_MS);
      }
    } catch (error) {
      onError(error as Error);
    }
  }

  return {
    async delete(jobId) {
      const state = await answered(deleteContent(jobId));
      if (state === 'gone') return false;
      await closeSoon(jobId);
      return true;
    },
  };
}
