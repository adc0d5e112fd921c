/**
 * The producer's side of the queue of webhooks: which ends of jobs and batches are still to be
 * announced. An entry holds the id; what is announced, and where, is read from the record when it is
 * delivered.
 */
import { Queue } from 'bullmq';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import { EVENTS_KEPT } from './queues.ts';

export interface WebhookEntry {
  /** Or the id of a batch. */
  readonly jobId: string;
  /** Deliveries that have failed. */
  readonly failures: number;
  /** Not to be delivered before, in milliseconds by Redis's clock. */
  readonly notBefore: number;
}

export interface WebhookQueue {
  /** Of a job or a batch; adding it again changes nothing while it is there. */
  add(id: string): Promise<void>;
  /** Takes the entry out without a trace, unless it is being delivered at this moment. */
  remove(id: string): Promise<void>;
  /** How many entries are there, those that are due later included. */
  backlog(): Promise<number>;
  stop(): Promise<void>;
}

/**
 * Not for deliveries, whose failures the consumer counts itself: for an error that nobody foresaw,
 * after which BullMQ would otherwise throw the entry away.
 */
const UNFORESEEN = { attempts: 1_000_000, backoff: { type: 'fixed', delay: 1_000 } } as const;

export function createWebhookQueue({
  redis,
  keys,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  onError: (error: Error) => void;
}): WebhookQueue {
  const queue = new Queue<WebhookEntry>(keys.webhookQueueName, {
    connection: redis,
    prefix: keys.queuePrefix,
    streams: { events: { maxLen: EVENTS_KEPT } },
  });
  queue.on('error', onError);

  return {
    async add(id) {
      await queue.add(
        'webhook',
        { jobId: id, failures: 0, notBefore: 0 },
        {
          jobId: webhookId(id),
          removeOnComplete: true,
          removeOnFail: true,
          stackTraceLimit: 1,
          ...UNFORESEEN,
        },
      );
    },
    async remove(id) {
      if ((await queue.remove(webhookId(id))) === 0) return;
      // What BullMQ has noted of it, which nobody reads.
      await queue.trimEvents(0);
    },
    async backlog() {
      const counts = await queue.getJobCounts('wait', 'active', 'delayed');
      return Object.values(counts).reduce((total, number) => total + number, 0);
    },
    async stop() {
      await queue.close();
    },
  };
}

/** A job or a batch ends once, so its own id makes the event's, the same for every delivery of it. */
export function webhookId(id: string): string {
  return `evt_${id.replace(/^(?:job|batch)_/, '')}`;
}
