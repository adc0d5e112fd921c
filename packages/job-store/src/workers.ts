/**
 * The registry of live workers: each writes a heartbeat, and counts as dead when it has not for a
 * while. Ages are measured by Redis's clock.
 */
import { workerStatusSchema } from '@qarr/router-core';
import type { WorkerStatus } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';

export const HEARTBEAT_MS = 1_000;
/** Three missed heartbeats and some room for a busy machine. */
const DEAD_AFTER_MS = 5_000;

/** A worker whose last beat is older than this has missed beats, and cannot speak for others. */
const REGULAR_MS = 3 * HEARTBEAT_MS;

/** `unknown`: whoever asks has not seen enough to say that another is dead. */
export type Verdict = 'alive' | 'dead' | 'unknown';

export interface Workers {
  beat(tier: string, status: WorkerStatus): Promise<void>;
  leave(tier: string, workerId: string): Promise<void>;
  alive(tier: string): Promise<WorkerStatus[]>;
  /**
   * Whether a worker of the tier lives. After a time without Redis nobody's heartbeat is young, so
   * only who has itself beaten regularly, for as long as it takes to count as dead, says `dead`.
   */
  judge(tier: string, workerId: string): Promise<Verdict>;
}

export function createWorkers({
  redis,
  keys,
  regularForMs = DEAD_AFTER_MS,
}: {
  redis: RedisClient;
  keys: Keys;
  /** How long a worker must have beaten regularly before it says that another is dead. */
  regularForMs?: number | undefined;
}): Workers {
  let lastBeatMs = -Infinity;
  let regularSinceMs = Infinity;

  function noteBeat(): void {
    const nowMs = performance.now();
    if (nowMs - lastBeatMs > REGULAR_MS) regularSinceMs = nowMs;
    lastBeatMs = nowMs;
  }

  function isRegular(): boolean {
    const nowMs = performance.now();
    return nowMs - lastBeatMs <= REGULAR_MS && nowMs - regularSinceMs >= regularForMs;
  }

  return {
    async beat(tier, status) {
      const key = keys.workers(tier);
      const at = await redisNow(redis);
      const replies = await pipelineOf(redis)
        .hset(key, status.id, JSON.stringify({ ...status, at }))
        .pexpire(key, 10 * DEAD_AFTER_MS)
        .exec();
      for (const [error] of replies ?? []) if (error !== null) throw error;
      noteBeat();
    },
    async judge(tier, workerId) {
      const [now, beat] = await Promise.all([
        redisNow(redis),
        redis.hget(keys.workers(tier), workerId),
      ]);
      if (beat !== null && now - (JSON.parse(beat) as { at: number }).at <= DEAD_AFTER_MS) {
        return 'alive';
      }
      return isRegular() ? 'dead' : 'unknown';
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
export async function redisNow(redis: RedisClient): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
}
