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

export interface Queues {
  /** Adds an entry; adding the same job and epoch again changes nothing while the entry lives. */
  add(tier: string, entry: QueueEntry): Promise<void>;
  /** Whether this process knows the tier, which another configuration may have or not. */
  has(tier: string): boolean;
  /** Takes an entry out if it still waits. */
  remove(tier: string, entry: Pick<QueueEntry, 'jobId' | 'epoch'>): Promise<void>;
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
      await queueOf(tier).remove(entryId(entry));
    },
    depth: (tier) => count(tier, ['wait', 'prioritized', 'delayed']),
    waiting: (tier) => count(tier, ['wait', 'prioritized']),
    async stop() {
      await Promise.all([...queues.values()].map((queue) => queue.close()));
    },
  };
}

/** One queue entry per job and epoch. */
function entryId({ jobId, epoch }: Pick<QueueEntry, 'jobId' | 'epoch'>): string {
  return epoch === 1 ? jobId : `${jobId}-${epoch}`;
}
