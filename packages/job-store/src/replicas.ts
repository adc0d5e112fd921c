/**
 * The registry of live replicas, and the jobs that are bound to them: foreground requests, which
 * nobody waits for any more when the replica that holds their connections is gone.
 *
 * Each replica writes a heartbeat. Whoever sweeps cancels the bound jobs of those whose heartbeat is
 * too old; several sweepers at once do no harm. Redis may itself have been away: then all heartbeats
 * are old, and nobody is judged until everybody has had the time to write a new one.
 *
 * The cost is that of the jobs that are cancelled: no other job is looked at.
 */
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import type { RedisClock } from './redis-clock.ts';

/** Of the time after which a replica counts as lost: it may miss several heartbeats. */
const BEATS_PER_LOSS = 6;
const BEAT_MS_MAX = 1_000;
/** Of replicas, and of the jobs of each, that are dealt with in one sweep. */
const REPLICAS_PER_SWEEP = 10;
const JOBS_PER_SWEEP = 500;
/**
 * What is left when the last replica is gone goes by itself. Two days are the longest that a job may
 * wait and run.
 */
const KEPT_MS = 2 * 86_400_000;

export interface Replicas {
  readonly replicaId: string;
  /** Notes that a job is bound to this replica. `now` is Redis's time. */
  bind(jobId: string, now: number): Promise<void>;
  unbind(jobId: string): Promise<void>;
  /** Cancels what was bound to replicas that are gone. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

export function createReplicas({
  redis,
  keys,
  clock,
  replicaId,
  lostAfterMs,
  cancel,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  clock: Pick<RedisClock, 'read'>;
  replicaId: string;
  /** A replica without a heartbeat for so long counts as gone. */
  lostAfterMs: number;
  cancel: (jobId: string) => Promise<unknown>;
  onError: (error: Error) => void;
}): Replicas {
  /** Since when this replica's own heartbeats have come without a longer pause; null before. */
  let steadySince: number | null = null;
  let lastBeatAt = 0;

  async function beat(): Promise<void> {
    const now = await clock.read();
    await redis.zadd(keys.replicas, now, replicaId);
    // Half of that time, so that another one that had the same pause is not lost yet.
    if (steadySince === null || now - lastBeatAt > lostAfterMs / 2) steadySince = now;
    lastBeatAt = now;
    await Promise.all([
      redis.pexpire(keys.replicas, KEPT_MS),
      redis.pexpire(keys.bound(replicaId), KEPT_MS),
    ]);
  }

  // Redis is gone for now: the next heartbeat tells.
  const beating = setInterval(
    () => void beat().catch(() => {}),
    Math.min(BEAT_MS_MAX, lostAfterMs / BEATS_PER_LOSS),
  );

  async function cancelAllOf(lostId: string): Promise<void> {
    const bound = keys.bound(lostId);
    const jobIds = await redis.srandmember(bound, JOBS_PER_SWEEP);
    for (const jobId of jobIds) {
      try {
        await cancel(jobId);
        await redis.srem(bound, jobId);
      } catch (error) {
        // One that cannot be dealt with must not keep the others from it.
        onError(error as Error);
      }
    }
    if (jobIds.length === 0) await redis.zrem(keys.replicas, lostId);
  }

  return {
    replicaId,

    async bind(jobId, now) {
      // Known before its first heartbeat: otherwise nobody would miss it.
      await Promise.all([
        redis.sadd(keys.bound(replicaId), jobId),
        redis.zadd(keys.replicas, 'GT', now, replicaId),
      ]);
    },

    async unbind(jobId) {
      await redis.srem(keys.bound(replicaId), jobId);
    },

    async sweep() {
      const now = await clock.read();
      if (steadySince === null || now - steadySince < lostAfterMs) return;
      const lost = await redis.zrangebyscore(
        keys.replicas,
        '-inf',
        now - lostAfterMs,
        'LIMIT',
        0,
        REPLICAS_PER_SWEEP,
      );
      for (const lostId of lost) await cancelAllOf(lostId);
    },

    async stop() {
      clearInterval(beating);
      try {
        // What is left it could not cancel: others need not wait to do it.
        if ((await redis.scard(keys.bound(replicaId))) > 0) {
          await redis.zadd(keys.replicas, 'XX', 0, replicaId);
        } else await redis.zrem(keys.replicas, replicaId);
      } catch {
        // It will be missed.
      }
    },
  };
}
