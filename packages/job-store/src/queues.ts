/** The producer's side of the BullMQ queues: two per tier, entries without any content. */
import { Queue } from 'bullmq';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { JobClass } from '@qarr/router-core';
import { QUEUE_KINDS, queueOf } from './keys.ts';
import type { Keys, QueueKind } from './keys.ts';

/** What a queue entry carries: never a prompt. */
export interface QueueEntry {
  readonly jobId: string;
  readonly epoch: number;
  readonly class: JobClass;
}

export type EntryName = Pick<QueueEntry, 'jobId' | 'epoch'>;
/** Of a list in which they have one. */
export type RankedName = EntryName & { readonly score?: number };
/** An entry, and what says in which queue of its tier it is. */
type EntryPlace = EntryName & { readonly queue: QueueKind };

/** Where BullMQ keeps entries. `wait` holds only those whose worker was lost: all have a priority. */
export const QUEUE_LISTS = ['active', 'wait', 'delayed', 'prioritized'] as const;
type QueueList = (typeof QUEUE_LISTS)[number];

export interface Queues {
  /**
   * Adds an entry, of a priority of its class that the ledger gives; adding the same job and epoch
   * again changes nothing while the entry lives.
   */
  add(tier: string, entry: QueueEntry, priority: number): Promise<void>;
  /** Whether this process knows the tier, which another configuration may have or not. */
  has(tier: string): boolean;
  /** Takes an entry out. Returns false where it stays, because a worker holds it. */
  remove(tier: string, entry: EntryPlace): Promise<boolean>;
  /** The same, and leaves no trace of it in what BullMQ notes besides. */
  erase(tier: string, entry: EntryPlace): Promise<boolean>;
  /** Which of these entries are in no queue. */
  missing(entries: readonly (EntryPlace & { tier: string })[]): Promise<boolean[]>;
  /** The tiers that this process knows. */
  readonly tiers: readonly string[];
  /** Part of one of a tier's lists: those that wait, or that a worker holds. */
  page(
    place: { tier: string; queue: QueueKind; list: QueueList },
    range: { from: number; count: number },
  ): Promise<RankedName[]>;
  /** Of an entry that waits behind that priority; nothing where it does not. */
  putForward(tier: string, entry: EntryPlace & RankedName & { to: number }): Promise<void>;
  /** How many entries could be pulled now. */
  waiting(tier: string, queue: QueueKind): Promise<number>;
  /** Where each of these entries stands, 1 being next; null for one that does not wait. */
  positions(entries: readonly (EntryPlace & { tier: string })[]): Promise<(number | null)[]>;
  stop(): Promise<void>;
}

/**
 * BullMQ copies what happens to a list of events that nobody here reads and that cannot be
 * switched off: it is kept short.
 */
export const EVENTS_KEPT = 100;

/** A score of BullMQ's is priority * 2^32 + a counter. */
export const BULLMQ_PRIORITY = 2 ** 32;

export function createQueues({
  redis,
  keys,
  tiers,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  tiers: readonly string[];
  onError: (error: Error) => void;
}): Queues {
  const queues = new Map(
    tiers.map((tier) => [
      tier,
      { foreground: open(tier, 'foreground'), batch: open(tier, 'batch') },
    ]),
  );

  function open(tier: string, kind: QueueKind): Queue {
    const queue = new Queue(keys.queueName(tier, kind), {
      connection: redis,
      prefix: keys.queuePrefix,
      streams: { events: { maxLen: EVENTS_KEPT } },
    });
    queue.on('error', onError);
    return queue;
  }

  function get(tier: string, kind: QueueKind): Queue {
    const queue = queues.get(tier)?.[kind];
    if (queue === undefined) throw new Error(`No queue for tier ${tier}`);
    return queue;
  }

  return {
    has: (tier) => queues.has(tier),
    async add(tier, { jobId, epoch, class: jobClass }, priority) {
      const entry: QueueEntry = { jobId, epoch, class: jobClass };
      await get(tier, queueOf(jobClass)).add('job', entry, {
        jobId: entryId(entry),
        priority,
        removeOnComplete: true,
        removeOnFail: true,
      });
    },
    async remove(tier, entry) {
      return (await get(tier, entry.queue).remove(entryId(entry))) === 1;
    },
    async erase(tier, entry) {
      const queue = get(tier, entry.queue);
      const isGone = (await queue.remove(entryId(entry))) === 1;
      if (!isGone) return false;
      await redis.srem(queue.toKey('stalled'), entryId(entry));
      // All of them: what is only marked as deleted stays in the memory of Redis.
      await queue.trimEvents(0);
      return true;
    },
    async missing(entries) {
      const pipeline = pipelineOf(redis);
      for (const { tier, ...entry } of entries) {
        const keysOfEntry = [get(tier, entry.queue).toKey(entryId(entry))];
        // Before batch jobs had a queue of their own they were in the other one.
        if (entry.queue === 'batch')
          keysOfEntry.push(get(tier, 'foreground').toKey(entryId(entry)));
        pipeline.exists(...keysOfEntry);
      }
      const replies = (await pipeline.exec()) ?? [];
      // Where nobody can tell, it counts as there.
      return entries.map((_, index) => replies[index]?.[1] === 0);
    },
    tiers: [...queues.keys()],
    async page({ tier, queue, list }, { from, count }) {
      const key = get(tier, queue).toKey(list);
      const to = from + count - 1;
      if (list === 'wait' || list === 'active') {
        return (await redis.lrange(key, from, to)).map(entryName);
      }
      const flat = await redis.zrange(key, String(from), String(to), 'WITHSCORES');
      return flat.flatMap((id, at) => {
        if (at % 2 === 1) return [];
        const score = Number(flat[at + 1]);
        return [list === 'prioritized' ? { ...entryName(id), score } : entryName(id)];
      });
    },
    async putForward(tier, { to, score = 0, ...entry }) {
      const key = get(tier, entry.queue).toKey('prioritized');
      const counter = score % BULLMQ_PRIORITY;
      await redis.zadd(key, 'XX', 'LT', to * BULLMQ_PRIORITY + counter, entryId(entry));
    },
    async waiting(tier, queue) {
      const counts = await get(tier, queue).getJobCounts('wait', 'prioritized');
      return Object.values(counts).reduce((total, number) => total + number, 0);
    },
    async positions(entries) {
      const pipeline = pipelineOf(redis);
      for (const { tier, ...entry } of entries) {
        const key = get(tier, entry.queue).toKey('prioritized');
        pipeline.zrank(key, entryId(entry));
      }
      const replies = (await pipeline.exec()) ?? [];
      return entries.map((_, at) => {
        const [error, rank] = replies[at] ?? [new Error('No reply'), null];
        return error !== null || rank === null ? null : Number(rank) + 1;
      });
    },
    async stop() {
      const all = [...queues.values()].flatMap((pair) => QUEUE_KINDS.map((kind) => pair[kind]));
      await Promise.all(all.map((queue) => queue.close()));
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
