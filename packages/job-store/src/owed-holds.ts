/**
 * Holds of jobs of which nobody knows whether they were written: Redis did not answer between the hold
 * and the record. When the write cannot come any more, a hold without an open job is given up.
 *
 * Those of a process that dies before that run out by themselves.
 */
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import type { Hold, Quotas } from './quota.ts';

/** Some hundred bytes each. Further ones push the oldest out, which then run out by themselves. */
const OWED_MAX = 10_000;

export interface OwedHolds {
  /** Gives it up later, unless there is a job. */
  owe(hold: Hold): void;
  stop(): void;
}

export function createOwedHolds({
  redis,
  keys,
  quotas,
  writtenWithinMs,
}: {
  redis: RedisClient;
  keys: Keys;
  quotas: Pick<Quotas, 'giveUp'>;
  /** A record that was not written so long after it was given up is never written. */
  writtenWithinMs: number;
}): OwedHolds {
  /** By writer, in the order in which they are due. */
  const owed = new Map<string, { readonly hold: Hold; readonly dueMs: number }>();
  let isPaying = false;

  async function pay(hold: Hold): Promise<void> {
    const { jobId } = hold;
    const [records, openSince] = await Promise.all([
      redis.exists(keys.job(jobId)),
      redis.zscore(keys.open, jobId),
    ]);
    // The end of a job that is open settles what it holds.
    if (records === 0 || openSince === null) await quotas.giveUp(hold);
    owed.delete(hold.writer);
  }

  async function payDue(): Promise<void> {
    if (isPaying) return;
    isPaying = true;
    try {
      for (const { hold, dueMs } of owed.values()) {
        if (performance.now() < dueMs) break;
        await pay(hold);
      }
    } catch {
      // Redis is still away: the next round does it.
    } finally {
      isPaying = false;
    }
  }

  const paying = setInterval(() => void payDue(), writtenWithinMs);

  return {
    owe(hold) {
      const [oldest] = owed.keys();
      if (oldest !== undefined && owed.size >= OWED_MAX) owed.delete(oldest);
      owed.set(hold.writer, { hold, dueMs: performance.now() + writtenWithinMs });
    },
    stop: () => clearInterval(paying),
  };
}
