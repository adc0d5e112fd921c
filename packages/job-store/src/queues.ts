/** The producer's side of the BullMQ queues: one queue per tier, entries without any content. */
import { Queue } from 'bullmq';
import type { JobType } from 'bullmq';
import type { Redis } from 'ioredis';
import { queuePriority } from '@qarr/router-core';
import type { JobClass } from '@qarr/router-core';
import type { Keys } from './keys.ts';

/** What a queue entry carries: never a prompt. */
export interface QueueEntry {
  readonly jobId: string;
  readonly epoch: number;
  readonly class: JobClass;
}

export type EntryName = Pick<QueueEntry, 'jobId' | 'epoch'>;

/** Where BullMQ keeps entries. `wait` holds only those whose worker was lost: all have a priority. */
export const QUEUE_LISTS = ['active', 'wait', 'delayed', 'prioritized'] as const;
type QueueList = (typeof QUEUE_LISTS)[number];

export interface Queues {
  /** Adds an entry; adding the same job and epoch again changes nothing while the entry lives. */
  add(tier: string, entry: QueueEntry): Promise<void>;
  /** Whether this process knows the tier, which another configuration may have or not. */
  has(tier: string): boolean;
  /** Takes an entry out. Returns false where it stays, because a worker holds it. */
  remove(tier: string, entry: EntryName): Promise<boolean>;
  /** The same, and leaves no trace of it in what BullMQ notes besides. */
  erase(tier: string, entry: EntryName): Promise<boolean>;
  /** Which of these entries are in no queue. */
  missing(entries: readonly (EntryName & { tier: string })[]): Promise<boolean[]>;
  /** The tiers that this process knows. */
  readonly tiers: readonly string[];
  /** Part of one of a tier's lists: those that wait, or that a worker holds. */
  page(tier: string, list: QueueList, range: { from: number; count: number }): Promise<EntryName[]>;
  /** How many entries wait, those that are due later included. */
  depth(tier: string): Promise<number>;
  /** How many entries could be pulled now. */
  waiting(tier: string): Promise<number>;
  stop(): Promise<void>;
}

/**
 * BullMQ copies what happens to a list of events that nobody here reads and that cannot be
 * switched off: it is kept short.
 */
export const EVENTS_KEPT = 100;

export function createQueues({
  redis,
  keys,
  tiers,
  onError,
}: {
  redis: Redis;
  keys: Keys;
  tiers: readonly string[];
  onError: (error: Error) => void;
}): Queues {
  const queues = new Map(
    tiers.map((tier) => {
      const queue = new Queue(keys.queueName(tier), {
        connection: redis,
        prefix: keys.queuePrefix,
        streams: { events: { maxLen: EVENTS_KEPT } },
      });
      queue.on('error', onError);
      return [tier, queue] as const;
    }),
  );

  function queueOf(tier: string): Queue {
    const queue = queues.get(tier);
    if (queue === undefined) throw new Error(`No queue for tier ${tier}`);
    return queue;
  }

  async function count(tier: string, states: JobType[]): Promise<number> {
    const counts = await queueOf(tier).getJobCounts(...states);
    return Object.values(counts).reduce((total, number) => total + number, 0);
  }

  return {
    has: (tier) => queues.has(tier),
    async add(tier, entry) {
      await queueOf(tier).add('job', entry, {
        jobId: entryId(entry),
        priority: queuePriority(entry.class),
        removeOnComplete: true,
        removeOnFail: true,
      });
    },
    async remove(tier, entry) {
      return (await queueOf(tier).remove(entryId(entry))) === 1;
    },
    async erase(tier, entry) {
      const queue = queueOf(tier);
      const isGone = (await queue.remove(entryId(entry))) === 1;
      if (!isGone) return false;
      await redis.srem(queue.toKey('stalled'), entryId(entry));
      // All of them: what is only marked as deleted stays in the memory of Redis.
      await queue.trimEvents(0);
      return true;
    },
    async missing(entries) {
      const pipeline = redis.pipeline();
      for (const { tier, ...entry } of entries) {
        pipeline.exists(queueOf(tier).toKey(entryId(entry)));
      }
      const replies = (await pipeline.exec()) ?? [];
      // Where nobody can tell, it counts as there.
      return entries.map((_, index) => replies[index]?.[1] === 0);
    },
    tiers: [...queues.keys()],
    async page(tier, list, { from, count: limit }) {
      const key = queueOf(tier).toKey(list);
      const to = from + limit - 1;
      const isSorted = list === 'delayed' || list === 'prioritized';
      const ids = isSorted
        ? await redis.zrange(key, String(from), String(to))
        : await redis.lrange(key, from, to);
      return ids.map(entryName);
    },
    depth: (tier) => count(tier, ['wait', 'prioritized', 'delayed']),
    waiting: (tier) => count(tier, ['wait', 'prioritized']),
    async stop() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

/** One queue entry per job and epoch. */
function entryId({ jobId, epoch }: EntryName): string {
  return epoch === 1 ? jobId : `${jobId}-${epoch}`;
}

/** The reverse: ids of jobs have no dash. */
function entryName(id: string): EntryName {
  const dash = id.lastIndexOf('-');
  return dash === -1
    ? { jobId: id, epoch: 1 }
    : { jobId: id.slice(0, dash), epoch: Number(id.slice(dash + 1)) };
}
