/**
 * The job store as a worker sees it: claim what the queue delivers, write its events, end it.
 * It never gives up on Redis: what cannot be written now is written when Redis is back.
 */
import type { BreakerTold, TierLoad, WorkerStatus } from '@qarr/router-core';
import { createBatchLines } from './batch-lines.ts';
import { bounded } from './bounded.ts';
import { createSharedBreakers } from './breakers.ts';
import type { SharedBreakers } from './breakers.ts';
import { createClaims } from './claim.ts';
import type { Claims } from './claim.ts';
import { createClosing } from './closing.ts';
import { connectWorker, disconnect, whenReady } from './connections.ts';
import { createConsumer } from './consumer.ts';
import type { Consumer, Delivery } from './consumer.ts';
import { createEventLog } from './event-log.ts';
import { createJobChanges } from './job-changes.ts';
import type { OnChange } from './job-changes.ts';
import { createKeys } from './keys.ts';
import type { QueueKind } from './keys.ts';
import { createLedger } from './ledger.ts';
import { createOwnerIndex } from './owner-index.ts';
import { createQueues } from './queues.ts';
import { createQuotas } from './quota.ts';
import { checkRedis, pingRedis } from './redis-check.ts';
import type { RedisProblems } from './redis-check.ts';
import { look } from './standing.ts';
import type { JobStanding } from './standing.ts';
import { subscribe } from './subscription.ts';
import { createWebhookQueue } from './webhook-queue.ts';
import { createWorkers } from './workers.ts';

/** BullMQ's own close waits for ever where its connection is lost at that moment. */
const STOP_MS = 3_000;

export interface WorkerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  /** Rejects where Redis does not serve: of a cluster, each of its masters. It may never settle. */
  ping(): Promise<void>;
  claim: Claims['claim'];
  /** In the order of the ids; null for a job that is gone. */
  look(jobIds: readonly string[]): Promise<(JobStanding | null)[]>;
  /** Begins to pull; once for each of the tier's queues. */
  consume(options: {
    queue: QueueKind;
    concurrency: number;
    paused: boolean;
    deliver: Parameters<typeof createConsumer>[0]['deliver'];
    /** An entry of any worker of the tier has lost its lock, and goes back to its queue. */
    onStalled?: () => void;
  }): Consumer;
  /** Entries of one of this tier's queues that could be pulled now. */
  waiting(queue: QueueKind): Promise<number>;
  load(): Promise<TierLoad>;
  /** Those of this tier that live. */
  workers(): Promise<WorkerStatus[]>;
  beat(status: WorkerStatus): Promise<void>;
  /** To be called once. `onTold`: others have made an engine's breaker this. */
  shareBreakers(options: {
    workerId: string;
    host: string;
    upstreams: readonly string[];
    onTold: (upstream: string, told: BreakerTold) => void;
  }): SharedBreakers;
  leave(workerId: string): Promise<void>;
  stop(): Promise<void>;
}

export type { Delivery };

export async function createWorkerStore({
  redisUrl,
  root,
  tier,
  regularForMs,
  onCancel,
  onChange,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  tier: string;
  /** How long this worker must have beaten regularly before it says that another is dead. */
  regularForMs?: number;
  /** Somebody asks to cancel this job, which may or may not run here. */
  onCancel: (jobId: string) => void;
  /** A claim has ended a job, or made it wait to run alone. */
  onChange?: OnChange;
  onError: (error: Error) => void;
}): Promise<WorkerStore> {
  const keys = createKeys(root);
  const redis = connectWorker({ redisUrl, onError });
  await whenReady(redis, redisUrl);
  const webhooks = createWebhookQueue({ redis, keys, onError });
  const ledger = createLedger({ redis, keys });
  const index = createOwnerIndex({ redis, keys });
  const quotas = createQuotas({ redis, keys });
  const lines = createBatchLines({ redis, keys });
  const closing = createClosing({
    redis,
    keys,
    index,
    lines,
    queues: null,
    ledger,
    quotas,
    webhooks,
  });
  const log = createEventLog({ redis, keys, closing, ledger, onError });
  const queues = createQueues({ redis, keys, tiers: [tier], onError });
  const workers = createWorkers({ redis, keys, regularForMs });
  const changes = createJobChanges({ redis, keys, onChange, onError });
  const claims = createClaims({
    redis,
    keys,
    tier,
    workers,
    log,
    ledger,
    closing,
    changes,
    onError,
  });
  let breakers: ReturnType<typeof createSharedBreakers> | null = null;
  // A control message that is lost costs a second: whoever runs a job looks how it stands, and how the
  // breakers stand.
  const control = await subscribe({
    redisUrl,
    onError,
    channel: keys.controlChannel,
    onReady: () => {},
    onMessage(message) {
      const [verb, subject] = message.toString().split(' ');
      if (verb === 'cancel' && subject !== undefined) onCancel(subject);
      if (verb === 'breaker' && subject === tier) breakers?.look();
    },
  });
  const consumers: Consumer[] = [];

  let stopping: Promise<void> | null = null;

  async function stopOnce(): Promise<void> {
    await control.stop();
    await breakers?.stop();
    await bounded(STOP_MS, closeQueue());
    await disconnect(redis);
  }

  async function closeQueue(): Promise<void> {
    try {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      await queues.stop();
      await webhooks.stop();
    } catch (error) {
      onError(error as Error);
    }
  }

  return {
    check: () => checkRedis(redis),
    ping: () => pingRedis(redis),

    claim: claims.claim,
    look: (jobIds) => look(redis, keys, jobIds),

    consume(options) {
      const consumer = createConsumer({ redis, keys, tier, onError, ...options });
      consumers.push(consumer);
      return consumer;
    },

    waiting: (queue) => queues.waiting(tier, queue),
    load: () => ledger.read(tier),
    workers: () => workers.alive(tier),
    beat: (status) => workers.beat(tier, status),
    shareBreakers(options) {
      breakers = createSharedBreakers({ redis, keys, tier, workers, onError, ...options });
      return breakers;
    },
    leave: (workerId) => workers.leave(tier, workerId),

    stop: () => (stopping ??= stopOnce()),
  };
}
