/** Job stores for tests, under key names of their own that must be gone in the end. */
import { randomUUID } from 'node:crypto';
import { createProducerStore, createWorkerStore } from '@qarr/job-store';
import type { Placement, ProducerStore, WorkerStore } from '@qarr/job-store';
import { NO_PACE } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { connectWorker } from '../../packages/job-store/src/connections.ts';
import { primariesOf } from '../../packages/job-store/src/redis-client.ts';

/** For a job whose place does not matter: no limit is against it. */
export const ANYWHERE: Placement = {
  tokens: 1,
  limits: { depthMax: 1_000_000, tokensAheadMax: null, whileAlerting: true, fallbackJobsMax: null },
  pace: NO_PACE,
};

/** How an attempt ends that has nothing more to say. */
export const COMPLETED = {
  event: {
    type: 'completed',
    finish_reason: 'stop',
    usage: null,
    timings: { queue_wait_ms: 0, ttft_ms: 0, run_ms: 0 },
  },
} as const;

export interface Stores {
  readonly root: string;
  readonly redis: Redis;
  readonly errors: Error[];
  readonly cancelled: string[];
  /** `redisUrl`: another way to the same Redis. */
  producer(options?: Partial<Parameters<typeof createProducerStore>[0]>): Promise<ProducerStore>;
  worker(tier?: string, options?: { regularForMs?: number }): Promise<WorkerStore>;
}

/** Everything that it opens is closed, and every key deleted, when the test ends. */
export function createStores({
  redisUrl = inject('redisUrl'),
  root = `test-${randomUUID()}`,
} = {}): Stores {
  const redis = observe(redisUrl);
  const errors: Error[] = [];
  const cancelled: string[] = [];
  const opened: { stop(): Promise<void> }[] = [];
  const onError = (error: Error) => void errors.push(error);

  onTestFinished(async () => {
    for (const store of opened.toReversed()) await store.stop();
    if (redis.status === 'ready') {
      for (const node of primariesOf(redis)) {
        // In a cluster they are of several slots, so each has a command of its own.
        const names = await node.keys(`*${root}*`);
        await node.pipeline(names.map((name) => ['del', name])).exec();
      }
    }
    redis.disconnect();
  });

  return {
    root,
    redis,
    errors,
    cancelled,
    async producer(options = {}) {
      const store = await createProducerStore({
        redisUrl,
        root,
        tiers: ['fast', 'precise'],
        replicaId: randomUUID(),
        onError,
        ...options,
      });
      opened.push(store);
      return store;
    },
    async worker(tier = 'fast', options = {}) {
      const store = await createWorkerStore({
        redisUrl,
        root,
        tier,
        // Tests say by heartbeats who lives.
        regularForMs: 0,
        onCancel: (jobId) => void cancelled.push(jobId),
        onError,
        ...options,
      });
      opened.push(store);
      return store;
    },
  };
}

/** Any Redis that `REDIS_URL` may name; what a test asks it is of one key at a time. */
function observe(redisUrl: string): Redis {
  if (/^rediss?\+/.test(redisUrl)) return connectWorker({ redisUrl, onError() {} }) as Redis;
  const redis = new Redis(redisUrl);
  redis.on('error', () => {});
  return redis;
}

export function newJob(fields: Partial<NewJob> = {}): NewJob {
  return {
    id: `job_${randomUUID().replaceAll('-', '')}`,
    owner: 'anonymous',
    class: 'standard',
    tier: 'fast',
    requestedTier: null,
    reasons: ['default'],
    request: { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 16, temperature: 0.7 },
    fallback: 'up',
    fits: ['fast', 'precise'],
    onInterrupt: 'restart',
    queueTimeoutMs: 60_000,
    runTimeoutMs: 60_000,
    droppedMessages: 0,
    metadata: {},
    ...fields,
  };
}

/** How many entries BullMQ has that wait in a tier's queues, whatever the ledger says. */
export async function entriesOf({ redis, root }: Stores, tier: string): Promise<number> {
  const counts = await Promise.all([
    redis.zcard(`{${root}:${tier}}:prioritized`),
    redis.zcard(`{${root}:${tier}}_batch:prioritized`),
    redis.llen(`{${root}:${tier}}:wait`),
  ]);
  return counts.reduce((total, number) => total + number, 0);
}
