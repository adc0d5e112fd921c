/** How much is still to be done, over all of the system. */
import type { Keys } from './keys.ts';
import type { RedisClient } from './redis-client.ts';
import { redisNow } from './workers.ts';

export interface Backlog {
  /** Jobs that have not ended, or have and are still to be closed. */
  readonly jobs: number;
  readonly batches: number;
  /** By how much the time is up of the job whose time was up first; 0 where there is none. */
  readonly overdueMs: number;
}

export async function readBacklog({
  redis,
  keys,
}: {
  redis: RedisClient;
  keys: Keys;
}): Promise<Backlog> {
  const [now, jobs, batches, [, due]] = await Promise.all([
    redisNow(redis),
    redis.zcard(keys.open),
    redis.zcard(keys.batches),
    redis.zrange(keys.deadlines, '0', '0', 'WITHSCORES'),
  ]);
  return { jobs, batches, overdueMs: due === undefined ? 0 : Math.max(0, now - Number(due)) };
}
