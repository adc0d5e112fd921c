/**
 * Redis's clock, without asking it each time: what it said last and the time since then. Never ahead
 * of it by more than the two may drift apart between two readings; behind it by what an answer takes.
 */
import type { RedisClient } from './redis-client.ts';
import { redisNow } from './workers.ts';

export interface RedisClock {
  /** Milliseconds since the epoch. Asks where it was never read. */
  now(): Promise<number>;
  /** Asks. */
  read(): Promise<number>;
}

export async function createRedisClock(
  redis: RedisClient,
  onError: (error: Error) => void,
): Promise<RedisClock> {
  let aheadMs: number | null = null;

  async function read(): Promise<number> {
    const now = await redisNow(redis);
    // By the time at which it has arrived: it was said before.
    aheadMs = now - performance.now();
    return now;
  }

  await read().catch(onError);
  return {
    async now() {
      return aheadMs === null ? read() : Math.floor(performance.now() + aheadMs);
    },
    read,
  };
}
