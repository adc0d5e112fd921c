/**
 * What is left to do beside a job's own keys once it has ended.
 *
 * It stays in the index of open jobs until all of that is done, so that the sweep does it again
 * where a process died in the middle: each step may be done twice.
 */
import { isTerminalState } from '@qarr/router-core';
import type { JobState } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { markWritten } from './idempotency.ts';
import type { Keys } from './keys.ts';

export interface Closing {
  /** Nothing where the job has not ended; of one that is gone, only the indexes are tidied up. */
  close(jobId: string): Promise<void>;
}

export function createClosing({ redis, keys }: { redis: Redis; keys: Keys }): Closing {
  return {
    async close(jobId) {
      const [state, owner, key, replicaId] = await redis.hmget(
        keys.job(jobId),
        'state',
        'owner',
        'idempotency_key',
        'bound',
      );
      if (state && !isTerminalState(state as JobState)) return;
      // Whoever submitted it may have died before: without this its key could make it once more.
      if (owner && key) await markWritten({ redis, keys }, { owner, key, jobId });
      if (replicaId) await redis.srem(keys.bound(replicaId), jobId);
      await redis.pipeline().zrem(keys.open, jobId).zrem(keys.deadlines, jobId).exec();
    },
  };
}
