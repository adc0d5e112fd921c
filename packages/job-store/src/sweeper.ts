/**
 * The sweep: expires what has waited too long, gives jobs whose entry is missing to their queue, and
 * forgets index entries of jobs that are over. Several sweepers at once do no harm: each step is
 * one script or idempotent.
 */
import { isTerminalState } from '@qarr/router-core';
import type { JobClass, JobState } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import type { Closing } from './closing.ts';
import type { Keys } from './keys.ts';
import type { Queues } from './queues.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

/** Jobs looked at in one sweep, of each kind. */
const SWEEP_JOBS = 500;
/** All open jobs are looked at once in so long, or more slowly where there are very many. */
const PASS_EVERY_MS = 10_000;

export interface Sweeper {
  sweep(): Promise<void>;
}

export function createSweeper({
  redis,
  keys,
  queues,
  closing,
  mendAfterMs,
  onError,
}: {
  redis: Redis;
  keys: Keys;
  queues: Queues;
  closing: Closing;
  /** An open job of this age is given to its queue once more: nothing where its entry is there. */
  mendAfterMs: number;
  onError: (error: Error) => void;
}): Sweeper {
  /** Position of the pass over the open jobs, from the oldest; null between two passes. */
  let rank: number | null = 0;
  let nextPassMs = 0;

  /** One job that cannot be dealt with must not keep the others from it. */
  async function each(jobId: string, deal: (jobId: string) => Promise<void>): Promise<void> {
    try {
      await deal(jobId);
    } catch (error) {
      onError(error as Error);
    }
  }

  async function expire(jobId: string): Promise<void> {
    const reply = (await runScript(redis, 'expire', {
      keys: [keys.job(jobId), keys.log(jobId)],
      args: [jobId, DUE_EVENTS.expired],
    })) as ['gone'] | [JobState, tier: string, epoch: number, leftMs: number];
    if (reply[0] === 'gone') return closing.close(jobId);
    const [state, tier, epoch, leftMs] = reply;
    if (isTerminalState(state)) await closing.close(jobId);
    // It was started in time: only its first start has a deadline. (The index is a little early.)
    else if (leftMs <= 0) await redis.zrem(keys.deadlines, jobId);
    if (state === 'expired' && queues.has(tier)) await queues.remove(tier, { jobId, epoch });
  }

  async function mend(jobId: string): Promise<void> {
    const fields = await redis.hmget(keys.job(jobId), 'state', 'tier', 'epoch', 'class');
    const [state, tier, epoch, jobClass] = fields;
    if (!state || !tier || isTerminalState(state as JobState)) {
      await closing.close(jobId);
    } else if (queues.has(tier)) {
      // Also one that is `running`: where its entry is lost, nobody would take it over.
      const entry = { jobId, epoch: Number(epoch), class: jobClass as JobClass };
      await queues.add(tier, entry);
    }
  }

  /** One page of the pass. */
  async function mendPage(now: number): Promise<void> {
    if (rank === null) {
      if (performance.now() < nextPassMs) return;
      rank = 0;
    }
    if (rank === 0) nextPassMs = performance.now() + PASS_EVERY_MS;
    const page = await redis.zrange(
      keys.open,
      String(rank),
      String(rank + SWEEP_JOBS - 1),
      'WITHSCORES',
    );
    let looked = 0;
    for (let index = 0; index < page.length; index += 2) {
      if (Number(page[index + 1]) > now - mendAfterMs) break;
      looked += 1;
      await each(page[index] ?? '', mend);
    }
    rank = looked === SWEEP_JOBS ? rank + SWEEP_JOBS : null;
  }

  return {
    async sweep() {
      const now = await redisNow(redis);
      const due = await redis.zrangebyscore(keys.deadlines, 0, now, 'LIMIT', 0, SWEEP_JOBS);
      for (const jobId of due) await each(jobId, expire);
      await mendPage(now);
    },
  };
}
