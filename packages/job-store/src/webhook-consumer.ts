/**
 * The consumer of the queue of webhooks: gives each entry that is due, with what the record says, to
 * whoever delivers it.
 *
 * BullMQ lets a delayed entry out by the clock of the process that asks, which may be ahead of the
 * one that delayed it. So an entry says itself, by Redis's clock, when it is due, and is delayed
 * anew where it comes too early: a wrong clock makes deliveries late by its error, never early.
 */
import { DelayedError, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import type { RedisClient } from './redis-client.ts';
import { connectWorker, disconnect, whenReady } from './connections.ts';
import { isBatchId, readEndedBatch } from './ended-batch.ts';
import type { EndedBatch } from './ended-batch.ts';
import { readEndedJob } from './ended-job.ts';
import type { EndReading, EndedJob } from './ended-job.ts';
import { createKeys } from './keys.ts';
import type { WebhookEntry } from './webhook-queue.ts';

/**
 * A replica that dies is noticed at the check after its lock has ended: within 8 s. One that was
 * only frozen does no harm, because every delivery of an event has the same id.
 */
const LOCK_MS = 5_000;
const STALLED_CHECK_MS = 2_500;
/** An entry that is found without its replica so often may be the reason for that. */
const STALLS_MAX = 10;
/** How long an idle consumer blocks in one call for the next entry, in seconds. */
const IDLE_BLOCK_S = 5;
/** To say good-bye to Redis, which may be gone. */
const GOODBYE_MS = 2_000;

export interface DueWebhook {
  readonly ended: EndedJob | EndedBatch;
  /** Deliveries that have failed before. */
  readonly failures: number;
  /** How much longer its record is kept: nothing is delivered after that. */
  readonly keptMs: number;
  /** Redis's clock, in milliseconds. */
  readonly now: number;
  /** Aborted when this delivery must end now. */
  readonly signal: AbortSignal;
}

export type WebhookVerdict =
  | { kind: 'done' }
  | { kind: 'again'; delayMs: number; hasFailed: boolean };

/** Why an entry was not delivered: its record is gone, or it kept losing its replicas. */
export type WebhookDrop = 'gone' | 'stalled';

export interface WebhookConsumer {
  /** Takes nothing new, lets what is under way end within `graceMs`, and gives the rest back. */
  stop(options: { graceMs: number }): Promise<void>;
}

export async function createWebhookConsumer({
  redisUrl,
  root,
  concurrency,
  deliver,
  onDrop,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  concurrency: number;
  deliver: (webhook: DueWebhook) => Promise<WebhookVerdict>;
  /** `id`: of a job or a batch. */
  onDrop: (id: string, why: WebhookDrop) => void;
  onError: (error: Error) => void;
}): Promise<WebhookConsumer> {
  const keys = createKeys(root);
  const redis = connectWorker({ redisUrl, onError });
  await whenReady(redis, redisUrl);
  const underWay = new Set<AbortController>();
  let isOver = false;

  async function read(id: string): Promise<EndReading<EndedJob | EndedBatch>> {
    return isBatchId(id)
      ? readEndedBatch({ redis, keys, batchId: id })
      : readEndedJob({ redis, keys, jobId: id });
  }

  async function process(job: Job<WebhookEntry>, token?: string, lockLost?: AbortSignal) {
    const { jobId, failures, notBefore } = job.data;
    if (job.stalledCounter > STALLS_MAX) return onDrop(jobId, 'stalled');
    const startedMs = performance.now();
    const reading = await read(jobId);
    if (reading.ended === null) return onDrop(jobId, 'gone');
    const earlyMs = notBefore - reading.now;
    if (earlyMs > 0) return await putOff(job, { delayMs: earlyMs, token });

    const due = { ...reading, ended: reading.ended, failures };
    const verdict = await deliverUntil(lockLost, due);
    if (verdict.kind === 'done') return;
    const now = reading.now + performance.now() - startedMs;
    await job.updateData({
      jobId,
      failures: failures + (verdict.hasFailed ? 1 : 0),
      notBefore: Math.floor(now + verdict.delayMs),
    });
    await putOff(job, { delayMs: verdict.delayMs, token });
  }

  async function deliverUntil(
    lockLost: AbortSignal | undefined,
    due: Omit<DueWebhook, 'signal'>,
  ): Promise<WebhookVerdict> {
    const ending = new AbortController();
    const abort = () => ending.abort();
    underWay.add(ending);
    lockLost?.addEventListener('abort', abort);
    if (isOver) abort();
    try {
      return await deliver({ ...due, signal: ending.signal });
    } finally {
      lockLost?.removeEventListener('abort', abort);
      underWay.delete(ending);
    }
  }

  // BullMQ looks at the number of parameters: without the third there is no signal.
  const worker = new Worker<WebhookEntry>(
    keys.webhookQueueName,
    async (job, token, signal) => process(job, token, signal),
    {
      connection: redis,
      prefix: keys.queuePrefix,
      concurrency,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      // Ours ends first, and counts what it drops.
      maxStalledCount: 2 * STALLS_MAX,
      drainDelay: IDLE_BLOCK_S,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    },
  );
  worker.on('error', onError);
  worker.on('failed', (_job, error) => onError(error));
  worker.on('lockRenewalFailed', (ids) => {
    for (const id of ids) worker.cancelJob(id, 'lock lost');
  });

  return {
    async stop({ graceMs }) {
      await worker.pause(true);
      await untilNone(underWay, graceMs);
      isOver = true;
      for (const ending of underWay) ending.abort();
      await close(worker, redis);
    },
  };
}

/** Ends this delivery of the entry, by an exception, as BullMQ wants it. */
async function putOff(
  job: Job<WebhookEntry>,
  { delayMs, token }: { delayMs: number; token: string | undefined },
): Promise<never> {
  await job.moveToDelayed(Date.now() + Math.max(1, Math.ceil(delayMs)), token);
  throw new DelayedError();
}

async function untilNone(underWay: ReadonlySet<unknown>, limitMs: number): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  while (underWay.size > 0 && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What cannot be given back, because Redis is gone, is found by its lock that has ended. */
async function close(worker: Worker, redis: RedisClient): Promise<void> {
  const timeout = AbortSignal.timeout(GOODBYE_MS);
  const expired = new Promise((resolve) => timeout.addEventListener('abort', resolve));
  await Promise.race([worker.close(), expired]);
  await disconnect(redis);
}
