/**
 * Deletes a job with all that is known of it, in any state.
 *
 * What it holds goes in one step. What lies elsewhere follows: its entries in indexes and queue, its
 * idempotency key. Until that is done the job stands in the index of open jobs with a note of it,
 * so that the sweep goes on where a process died.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobState } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import type { Closing } from './closing.ts';
import type { Keys } from './keys.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';

/** A worker lets go of an entry when its engine has stopped, within a second. The sweep waits on. */
const RELEASE_WAIT_MS = 3_000;
const RELEASE_CHECK_MS = 20;

export interface Deletion {
  /** Returns false where there is no such job. */
  delete(jobId: string): Promise<boolean>;
}

export function createDeletion({
  redis,
  keys,
  closing,
}: {
  redis: Redis;
  keys: Keys;
  closing: Closing;
}): Deletion {
  return {
    async delete(jobId) {
      const [exists, createdAt] = await redis.hmget(keys.job(jobId), 'state', 'created_at');
      if (!exists) return false;
      // A job that has ended is in this index no more.
      await redis.zadd(keys.open, 'NX', Number(createdAt), jobId);
      const state = (await runScript(redis, 'delete', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun],
      })) as 'gone' | JobState;
      if (state === 'running') await redis.publish(keys.controlChannel, `cancel ${jobId}`);
      const deadlineMs = performance.now() + RELEASE_WAIT_MS;
      while (!(await closing.close(jobId)) && performance.now() < deadlineMs) {
        await sleep(RELEASE_CHECK_MS);
      }
      return state !== 'gone';
    },
  };
}
