/**
 * Looks through the queues for entries whose job is over or gone, which nobody else would find where
 * their tier has no worker, and for those that stand behind their place. So many are looked at in one
 * go.
 */
import { isTerminalState } from '@qarr/router-core';
import type { JobState } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { QUEUE_KINDS } from './keys.ts';
import type { Keys, QueueKind } from './keys.ts';
import { BULLMQ_PRIORITY, QUEUE_LISTS } from './queues.ts';
import type { EntryName, Queues, RankedName } from './queues.ts';
import { priorityAt } from './ledger.ts';

export interface QueueAudit {
  /** Looks at the next so many entries. Returns true at the end of the last queue. */
  next(count: number): Promise<boolean>;
}

export function createQueueAudit({
  redis,
  keys,
  queues,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Queues;
  onError: (error: Error) => void;
}): QueueAudit {
  const places = queues.tiers.flatMap((tier) =>
    QUEUE_KINDS.flatMap((queue) => QUEUE_LISTS.map((list) => ({ tier, queue, list }))),
  );
  let place = 0;
  let from = 0;

  /** The entries that no job needs. */
  async function orphansAmong(entries: readonly EntryName[]): Promise<EntryName[]> {
    const pipeline = pipelineOf(redis);
    for (const { jobId } of entries) pipeline.hmget(keys.job(jobId), 'state', 'epoch');
    const replies = (await pipeline.exec()) ?? [];
    return entries.filter(({ epoch }, at) => {
      const [error, values] = replies[at] ?? [new Error('No reply'), null];
      // What cannot be read is not known to be over.
      if (error !== null) return false;
      const [state, current] = values as (string | null)[];
      return !state || isTerminalState(state as JobState) || epoch < Number(current);
    });
  }

  async function erase(
    { tier, queue }: { tier: string; queue: QueueKind },
    entries: readonly EntryName[],
  ): Promise<number> {
    let erased = 0;
    for (const entry of entries) {
      try {
        // One that a worker holds stays: it is about to give it up.
        if (await queues.erase(tier, { ...entry, queue })) erased += 1;
      } catch (error) {
        onError(error as Error);
      }
    }
    return erased;
  }

  /**
   * An entry that was on its way to its queue while the tags of its class were moved down (see
   * `ledger-enter.lua`) has the place of before, behind all others.
   */
  async function putForward(
    { tier, queue }: { tier: string; queue: QueueKind },
    entries: readonly RankedName[],
  ): Promise<void> {
    const ids = entries.map(({ jobId }) => jobId);
    const scores = await redis.zmscore(keys.ledger(tier)[1], ...ids);
    for (const [index, entry] of entries.entries()) {
      const priority = priorityAt(scores[index] ?? null, queue);
      if (priority === null || (entry.score ?? 0) < (priority + 1) * BULLMQ_PRIORITY) continue;
      await queues.putForward(tier, { ...entry, queue, to: priority });
    }
  }

  return {
    async next(count) {
      for (let left = count; left > 0;) {
        const at = places[place];
        if (at === undefined) {
          place = 0;
          return true;
        }
        const entries = await queues.page(at, { from, count: left });
        const orphans = entries.length === 0 ? [] : await orphansAmong(entries);
        if (at.list === 'prioritized' && entries.length > 0) await putForward(at, entries);
        const erased = await erase(at, orphans);
        from += entries.length - erased;
        if (entries.length < left) {
          place += 1;
          from = 0;
        }
        left -= entries.length;
      }
      return false;
    },
  };
}
