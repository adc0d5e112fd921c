/**
 * The job store as a server sees it: submit, look up, list, follow, cancel, delete, and mend what a
 * crash left.
 * It fails fast: a call that Redis does not answer in time throws `queue_unavailable`.
 */
import type { JobRecord, JobState, TierStatus } from '@qarr/router-core';
import { answered } from './answered.ts';
import { createClosing } from './closing.ts';
import { connectProducer, disconnect, whenReady } from './connections.ts';
import { cancelDeadline } from './deadlines.ts';
import { createDeletion } from './deletion.ts';
import { createFollowers } from './followers.ts';
import type { Followers } from './followers.ts';
import { createIdempotency } from './idempotency.ts';
import { createKeys } from './keys.ts';
import { createListing } from './listing.ts';
import type { Listing } from './listing.ts';
import { createMemoryGuard } from './memory-guard.ts';
import type { RedisMemory } from './memory-guard.ts';
import { createOwnerIndex } from './owner-index.ts';
import { createQueues } from './queues.ts';
import { parseRecord } from './record.ts';
import { checkRedis } from './redis-check.ts';
import type { RedisProblems } from './redis-check.ts';
import { createReplicas } from './replicas.ts';
import { DEFAULT_RETENTION, DUE_EVENTS } from './retention.ts';
import type { Retention } from './retention.ts';
import { runScript } from './scripts.ts';
import { createSubmitter } from './submitter.ts';
import type { Submitter } from './submitter.ts';
import { createSweeper } from './sweeper.ts';
import { createWebhookQueue } from './webhook-queue.ts';
import { createWorkers } from './workers.ts';

/** A reader that has seen nothing for this long looks at the log. */
const FOLLOW_TICK_MS = 15_000;
/** A submission takes less, also on a slow Redis: a job of this age is mended if it needs it. */
const MEND_AFTER_MS = 10_000;
/** Of Redis's memory: the rest is for the answers of jobs that were admitted. */
const MEMORY_PERCENT_MAX = 80;
/**
 * Each command of a submission may be as slow as it may. A write that was stuck for longer is one that
 * its client has given up, and must not appear after all. Shorter than the time after which the sweep
 * forgets an index entry without a job.
 */
const CREATE_WITHIN_MS = 5_000;
const IDEMPOTENCY_TTL_MS = 24 * 3_600_000;
/** Longer than most interruptions of a network: its clients lose their answers. */
const REPLICA_LOST_MS = 15_000;

export interface ProducerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  ping(): Promise<void>;
  /**
   * Writes the job, then its queue entry. Calling it again with the same id, or with another one and
   * the same idempotency key, is safe.
   */
  submit: Submitter['submit'];
  /** What an idempotency key stands for; null where the job is still to be written. */
  findByKey: Submitter['findByKey'];
  get(jobId: string): Promise<JobRecord | null>;
  list: Listing['list'];
  follow: Followers['follow'];
  /** Cancels. Returns the state after the call, or null when there is no such job. */
  cancel(jobId: string): Promise<JobState | null>;
  /** Deletes the job and all that is known of it. Returns false where there is no such job. */
  delete(jobId: string): Promise<boolean>;
  status(tier: string): Promise<TierStatus>;
  /** How full Redis is; null when it has no limit. As of the last submission or sweep. */
  memory(): RedisMemory | null;
  /** How many ends of jobs are still to be announced. */
  webhookBacklog(): Promise<number>;
  /**
   * Ends what is due, mends what a crash has left, and cancels what was bound to replicas that are
   * gone.
   */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

export async function createProducerStore({
  redisUrl,
  root,
  tiers,
  replicaId,
  retention = DEFAULT_RETENTION,
  followTickMs = FOLLOW_TICK_MS,
  mendAfterMs = MEND_AFTER_MS,
  memoryPercentMax = MEMORY_PERCENT_MAX,
  createWithinMs = CREATE_WITHIN_MS,
  idempotencyTtlMs = IDEMPOTENCY_TTL_MS,
  replicaLostMs = REPLICA_LOST_MS,
  passEveryMs,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  tiers: readonly string[];
  /** Unique to this process. */
  replicaId: string;
  /** Of the jobs that are submitted here. */
  retention?: Retention;
  followTickMs?: number;
  mendAfterMs?: number;
  /** Above so much of Redis's `maxmemory` no job is admitted. */
  memoryPercentMax?: number;
  /** A submission whose record was not written in this time is given up. */
  createWithinMs?: number;
  /** How long an idempotency key stands, from its first use. */
  idempotencyTtlMs?: number;
  /** A replica without a heartbeat for so long counts as gone. */
  replicaLostMs?: number;
  /** Between two rounds of the sweep over all there is. */
  passEveryMs?: number;
  onError: (error: Error) => void;
}): Promise<ProducerStore> {
  const keys = createKeys(root);
  const redis = connectProducer({ redisUrl, onError });
  await whenReady(redis);
  const queues = createQueues({ redis, keys, tiers, onError });
  const workers = createWorkers({ redis, keys });
  const guard = createMemoryGuard({ redis, percentMax: memoryPercentMax });
  const followers = await createFollowers({
    redisUrl,
    redis,
    keys,
    replicaId,
    tickMs: followTickMs,
    onError,
  });
  const index = createOwnerIndex({ redis, keys });
  const webhooks = createWebhookQueue({ redis, keys, onError });
  const closing = createClosing({ redis, keys, index, queues, webhooks });
  const deletion = createDeletion({ redis, keys, closing, onError });
  const listing = createListing({ redis, keys, onError });
  const replicas = createReplicas({
    redis,
    keys,
    replicaId,
    lostAfterMs: replicaLostMs,
    cancel,
    onError,
  });
  const sweeper = createSweeper({
    redis,
    keys,
    queues,
    closing,
    index,
    replicas,
    mendAfterMs,
    passEveryMs,
    onError,
  });
  const submitter = createSubmitter({
    redis,
    keys,
    queues,
    closing,
    index,
    idempotency: createIdempotency({ redis, keys, ttlMs: idempotencyTtlMs }),
    replicas,
    retention,
    createWithinMs,
    get: lookUp,
    guard,
  });

  async function lookUp(jobId: string): Promise<JobRecord | null> {
    return parseRecord(await redis.hgetall(keys.job(jobId)));
  }

  async function cancel(jobId: string): Promise<JobState | null> {
    const reply = (await answered(
      runScript(redis, 'cancel', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun],
      }),
    )) as ['gone'] | [JobState, cancelAt: number];
    const [state, cancelAt] = reply;
    if (state === 'gone') {
      // It was bound before it should have been written, and was not.
      await replicas.unbind(jobId).catch(onError);
      return null;
    }
    if (state === 'running') {
      const due = cancelDeadline(cancelAt);
      await answered(
        Promise.all([
          redis.publish(keys.controlChannel, `cancel ${jobId}`),
          // Where its worker does not hear of it, the sweep ends it.
          redis.zadd(keys.deadlines, 'LT', due, jobId),
        ]),
      );
    }
    // It will not run in any case; this only tidies up, and the sweep does it again.
    if (state === 'cancelled') await closing.close(jobId).catch(onError);
    return state;
  }

  return {
    check: () => answered(checkRedis(redis)),

    async ping() {
      await answered(redis.ping());
    },

    submit: (job, placeAt) => answered(submitter.submit(job, placeAt)),
    findByKey: (owner, key) => answered(submitter.findByKey(owner, key)),

    get: (jobId) => answered(lookUp(jobId)),

    list: (options) => answered(listing.list(options)),

    follow: followers.follow,

    cancel,

    delete: deletion.delete,

    status: (tier) =>
      answered(
        (async () => {
          const [depth, alive] = await Promise.all([queues.depth(tier), workers.alive(tier)]);
          return { name: tier, depth, workers: alive };
        })(),
      ),

    memory: guard.latest,
    webhookBacklog: () => answered(webhooks.backlog()),

    async sweep() {
      await guard.refresh();
      await sweeper.sweep();
    },

    async stop() {
      await followers.stop();
      await replicas.stop();
      await queues.stop();
      await webhooks.stop();
      await disconnect(redis);
    },
  };
}
