/**
 * What is left to do beside a job's own keys once it has ended.
 *
 * It stays in the index of open jobs until all of that is done, so that the sweep does it again
 * where a process died in the middle: each step may be done twice.
 */
import { isTerminalState } from '@qarr/router-core';
import type { JobState } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.ts';

export interface Closing {
  /** Nothing where the job has not ended; of one that is gone, only the indexes are tidied up. */
  close(jobId: string): Promise<void>;
}

export function createClosing({ redis, keys }: { redis: Redis; keys: Keys }): Closing {
  return {
    async close(jobId) {
      const state = await redis.hget(keys.job(jobId), 'state');
      if (state !== null && !isTerminalState(state as JobState)) return;
      await redis.pipeline().zrem(keys.open, jobId).zrem(keys.deadlines, jobId).exec();
    },
  };
}
