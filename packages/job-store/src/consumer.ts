/**
 * The worker's side of one of a tier's queues: pulls entries while it has room, and hands back what cannot
 * be done here.
 */
import { randomUUID } from 'node:crypto';
import { DelayedError, Worker } from 'bullmq';
import type { Job } from 'bullmq';
import type { RedisClient } from './redis-client.ts';
import type { Keys, QueueKind } from './keys.ts';
import { RETURNING_PRIORITY } from './ledger.ts';
import type { QueueEntry } from './queues.ts';

/**
 * A worker that dies is noticed at the first check after its lock has ended: after 5.5 to 9 s; one
 * period later, at worst, where the process that would have checked next died too.
 */
const LOCK_MS = 7_000;
const STALLED_CHECK_MS = 2_000;
/**
 * BullMQ renews in half this time, each lock that is older than that. So a lock has at least 5.5 s
 * left, and an event loop that is blocked for 5 s loses none.
 */
const LOCK_RENEWAL_MS = 1_500;
/** BullMQ's own limit would fail innocent neighbours of a poisonous job; ours counts per job. */
const STALLS_MAX = 1_000;
/**
 * How long an idle worker blocks in one call for the next entry, in seconds. What no sign has told it
 * (see `wake`) it finds when the call ends. It costs two commands a second.
 */
const IDLE_BLOCK_S = 1;
/** Pause before an entry is tried again after an error that nobody foresaw. */
const UNFORESEEN_DELAY_MS = 1_000;

/** What becomes of an entry: it is done with, or it shall come again. */
export type Delivery = { kind: 'done' } | { kind: 'again'; delayMs: number };

export interface Consumer {
  /** Number of entries that are being worked on. */
  readonly running: number;
  /** When an entry was last delivered, by `performance.now()`. */
  readonly lastDeliveryMs: number;
  /** Pulls nothing more until `resume`; what runs goes on. */
  pause(): Promise<void>;
  /** How many entries may be worked on at once, at least 1; what runs goes on. */
  setConcurrency(concurrency: number): Promise<void>;
  resume(): Promise<void>;
  /** Closes; call it when nothing runs any more. */
  stop(): Promise<void>;
}

/**
 * Begins to pull at once, unless `paused`.
 *
 * `deliver` gets an entry, a token that is unique to this delivery, and a signal that is aborted
 * when the entry's lock is lost, so that another worker may have it already.
 */
export function createConsumer({
  redis,
  keys,
  tier,
  queue,
  concurrency,
  paused,
  deliver,
  onStalled = () => {},
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  tier: string;
  queue: QueueKind;
  concurrency: number;
  paused: boolean;
  deliver: (
    entry: QueueEntry,
    delivery: { token: string; signal: AbortSignal },
  ) => Promise<Delivery>;
  /** This worker has found an entry whose lock had ended: its worker died, or stood still. */
  onStalled?: (() => void) | undefined;
  onError: (error: Error) => void;
}): Consumer {
  let running = 0;
  let lastDeliveryMs = performance.now();

  async function process(job: Job<QueueEntry>, token?: string, signal?: AbortSignal) {
    running += 1;
    lastDeliveryMs = performance.now();
    const delivery = await deliverSafely(job, signal);
    running -= 1;
    if (delivery.kind === 'done') return;
    await job.changePriority({ priority: RETURNING_PRIORITY[job.data.class] });
    await job.moveToDelayed(Date.now() + Math.max(1, delivery.delayMs), token);
    wake();
    throw new DelayedError();
  }

  async function deliverSafely(job: Job<QueueEntry>, signal?: AbortSignal): Promise<Delivery> {
    try {
      return await deliver(job.data, {
        // BullMQ's own token, and its count, may come again for another delivery.
        token: randomUUID(),
        signal: signal ?? new AbortController().signal,
      });
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)));
      return { kind: 'again', delayMs: UNFORESEEN_DELAY_MS };
    }
  }

  /**
   * Has an idle worker look into the queue. BullMQ wakes one worker for an entry, by a sign that is
   * taken by the first who is blocked in a call: perhaps one that has been paused since, which does
   * not look, or one whose Redis was lost at that moment. This is a second sign for another.
   */
  function wake(): void {
    redis.zadd(worker.toKey('marker'), 0, '0').catch(onError);
  }

  // BullMQ looks at the number of parameters: without the third there is no signal.
  const worker = new Worker<QueueEntry>(
    keys.queueName(tier, queue),
    async (job, token, signal) => process(job, token, signal),
    {
      connection: redis,
      prefix: keys.queuePrefix,
      autorun: !paused,
      concurrency,
      lockDuration: LOCK_MS,
      lockRenewTime: LOCK_RENEWAL_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: STALLS_MAX,
      drainDelay: IDLE_BLOCK_S,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    },
  );
  worker.on('error', onError);
  worker.on('stalled', onStalled);
  redis.on('ready', wake);
  worker.on('lockRenewalFailed', (jobIds) => {
    for (const id of jobIds) worker.cancelJob(id, 'lock lost');
  });
  let started = !paused;

  return {
    get running() {
      return running;
    },
    get lastDeliveryMs() {
      return lastDeliveryMs;
    },
    async pause() {
      if (started) await worker.pause(true);
    },
    async setConcurrency(next) {
      const isMore = next > worker.concurrency;
      const isSaturated = running >= worker.concurrency;
      worker.concurrency = next;
      // BullMQ looks at a higher number when it fetches or when a job has ended. Only where it has all
      // that it might have does it need this.
      if (!isMore || !isSaturated || !started || worker.isPaused()) return;
      await worker.pause(true);
      await worker.resume();
    },
    async resume() {
      lastDeliveryMs = performance.now();
      if (started) await worker.resume();
      else {
        started = true;
        // It runs until the worker is closed; its errors are events.
        worker.run().catch(onError);
      }
    },
    async stop() {
      redis.off('ready', wake);
      await worker.close();
    },
  };
}
