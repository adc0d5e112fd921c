/**
 * The registry of live workers: each writes a heartbeat, and counts as dead when it has not for a
 * while. Ages are measured by Redis's clock.
 */
import { workerStatusSchema } from '@qarr/router-core';
import type { WorkerStatus } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.ts';

export const HEARTBEAT_MS = 1_000;
/** Three missed heartbeats and some room for a busy machine. */
const DEAD_AFTER_MS = 5_000;

export interface Workers {
  beat(tier: string, status: WorkerStatus): Promise<void>;
  leave(tier: string, workerId: string): Promise<void>;
  alive(tier: string): Promise<WorkerStatus[]>;
}

export function createWorkers({ redis, keys }: { redis: Redis; keys: Keys }): Workers {
  return {
    async beat(tier, status) {
      const key = keys.workers(tier);
      const at = await redisNow(redis);
      await redis
        .pipeline()
        .hset(key, status.id, JSON.stringify({ ...status, at }))
        .pexpire(key, 10 * DEAD_AFTER_MS)
        .exec();
    },
    async leave(tier, workerId) {
      await redis.hdel(keys.workers(tier), workerId);
    },
    async alive(tier) {
      const [now, beats] = await Promise.all([redisNow(redis), redis.hgetall(keys.workers(tier))]);
      const live: WorkerStatus[] = [];
      for (const [id, json] of Object.entries(beats)) {
        const beat = JSON.parse(json) as WorkerStatus & { at: number };
        if (now - beat.at > DEAD_AFTER_MS) await redis.hdel(keys.workers(tier), id);
        // A worker of another version may say something else: it is not ours to count.
        const status = workerStatusSchema.safeParse(beat);
        if (now - beat.at <= DEAD_AFTER_MS && status.success) live.push(status.data);
      }
      return live;
    },
  };
}

/** Milliseconds since the epoch, by Redis's clock. */
export async function redisNow(redis: Redis): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
