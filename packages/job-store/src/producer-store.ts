/** What a producer's job store is made of: see `producer-api.ts` for what it does. */
import { depthOf } from '@qarr/router-core';
import { answered } from './answered.ts';
import { createApiKeys } from './api-keys.ts';
import { readBacklog } from './backlog.ts';
import { createBatchIndex } from './batch-index.ts';
import { createBatchLines } from './batch-lines.ts';
import { createBatchRecords } from './batch-records.ts';
import { createBatchRuns } from './batch-runs.ts';
import { createCancel } from './cancel.ts';
import { createClosing } from './closing.ts';
import { connectProducer, disconnect, whenReady } from './connections.ts';
import { createDeletion } from './deletion.ts';
import { createFileRecords } from './file-records.ts';
import { createFollowers } from './followers.ts';
import { createIdempotency } from './idempotency.ts';
import { createJobChanges } from './job-changes.ts';
import type { OnChange } from './job-changes.ts';
import { createKeys } from './keys.ts';
import { createLedger } from './ledger.ts';
import { createMove } from './move.ts';
import { createListing } from './listing.ts';
import { createLookUp } from './look-up.ts';
import { createMemoryGuard } from './memory-guard.ts';
import { createOwedHolds } from './owed-holds.ts';
import { createOwnerIndex } from './owner-index.ts';
import { createQueues } from './queues.ts';
import { createQuotas } from './quota.ts';
import { checkRedis, pingRedis } from './redis-check.ts';
import { createRedisClock } from './redis-clock.ts';
import { createReplication } from './replication.ts';
import { createReplicas } from './replicas.ts';
import { DEFAULT_RETENTION } from './retention.ts';
import type { Retention } from './retention.ts';
import { createSubmitter } from './submitter.ts';
import type { Submission, Unmarked } from './submission.ts';
import { createSweeper } from './sweeper.ts';
import { createReadWaiting } from './waiting.ts';
import { createWebhookQueue } from './webhook-queue.ts';
import { createWorkers } from './workers.ts';
import { createWritingAsOne } from './write-as-one.ts';
import { createWritingInTurn } from './write-in-turn.ts';
import type { ProducerStore } from './producer-api.ts';

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
const ALERT_PER_WORKER = 15;

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
  alertPerWorker = ALERT_PER_WORKER,
  passEveryMs,
  replicasMin = 0,
  onChange,
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
  /** More waiting jobs than this per live worker of a tier raise its queue-depth alert. */
  alertPerWorker?: number;
  /** Between two rounds of the sweep over all there is. */
  passEveryMs?: number;
  /** What is made here counts once so many replicas of Redis have it. */
  replicasMin?: number;
  /** A job has ended by a call of this store, by its sweep, or was deleted. */
  onChange?: OnChange;
  onError: (error: Error) => void;
}): Promise<ProducerStore> {
  const keys = createKeys(root);
  const redis = connectProducer({ redisUrl, onError });
  await whenReady(redis, redisUrl);
  const queues = createQueues({ redis, keys, tiers, onError });
  const ledger = createLedger({ redis, keys });
  const workers = createWorkers({ redis, keys });
  const guard = createMemoryGuard({ redis, percentMax: memoryPercentMax });
  const replication = await createReplication({
    redisUrl,
    writer: redis,
    onError,
    replicasMin,
    keys,
  });
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
  const quotas = createQuotas({ redis, keys });
  const apiKeys = createApiKeys({ redis, keys });
  const lines = createBatchLines({ redis, keys });
  const closing = createClosing({ redis, keys, index, lines, queues, ledger, quotas, webhooks });
  const changes = createJobChanges({ redis, keys, onChange, onError });
  const deletion = createDeletion({ redis, keys, closing, changes, onError });
  const listing = createListing({ redis, keys, lines, onError });
  const cancel = createCancel({
    redis,
    keys,
    closing,
    changes,
    unbind: async (jobId) => replicas.unbind(jobId),
    onError,
  });
  const clock = await createRedisClock(redis, onError);
  const replicas = createReplicas({
    redis,
    keys,
    clock,
    replicaId,
    lostAfterMs: replicaLostMs,
    cancel,
    onError,
  });
  const sweeper = createSweeper({
    redis,
    keys,
    queues,
    ledger,
    closing,
    index,
    lines,
    replicas,
    changes,
    mendAfterMs,
    passEveryMs,
    onError,
  });
  const owedHolds = createOwedHolds({ redis, keys, quotas, writtenWithinMs: createWithinMs });
  const lookUp = createLookUp({ redis, keys, queues });
  const submitter = createSubmitter({
    redis,
    queues,
    ledger,
    closing,
    index,
    lines,
    quotas,
    owedHolds,
    idempotency: createIdempotency({ redis, keys, ttlMs: idempotencyTtlMs }),
    replicas,
    followers,
    clock,
    retention,
    inOne: createWritingAsOne({ redis, keys, clock, replicaId, createWithinMs }),
    steps: createWritingInTurn({ redis, keys, ledger, quotas, replicas, createWithinMs }),
    get: lookUp.get,
    guard,
  });
  const batchIndex = createBatchIndex({ redis, keys });
  const batches = createBatchRecords({ redis, keys, index: batchIndex, lines, createWithinMs });
  const batchRuns = createBatchRuns({
    redis,
    keys,
    index: batchIndex,
    lines,
    webhooks,
    get: batches.get,
    onError,
  });
  const files = createFileRecords({ redis, keys });
  const readWaiting = createReadWaiting({ redis, keys });
  const move = createMove({ redis, keys, queues, ledger });

  /** Writes or finds a job; its key is marked once the job is where it must be. */
  async function confirmed<Result extends Submission | null>(
    submit: () => Promise<Unmarked<Result>>,
  ): Promise<Result> {
    const confirm = replication.begin();
    const { submission, mark } = await answered(submit());
    if (submission?.kind === 'created' || submission?.kind === 'attached') await confirm();
    await answered(mark());
    return submission;
  }

  /** Makes something that a client is told of, and returns once it is where it must be. */
  async function replicated<Made extends { kind: string }>(
    make: () => Promise<Made>,
  ): Promise<Made> {
    const confirm = replication.begin();
    const made = await answered(make());
    if (made.kind === 'created') await confirm();
    return made;
  }

  return {
    check: () => answered(checkRedis(redis)),

    ping: () => answered(pingRedis(redis)),

    submit: (job, placement) => confirmed(() => submitter.submit(job, placement)),
    submitAnswered: (...call) => confirmed(() => submitter.submitAnswered(...call)),
    findAnswer: (tier, requestHash) => answered(lookUp.findAnswer(tier, requestHash)),
    findByKey: (owner, key) => confirmed(() => submitter.findByKey(owner, key)),

    get: (jobId) => answered(lookUp.get(jobId)),

    findKey: (digests) => answered(apiKeys.find(digests)),
    getKey: (keyId) => answered(apiKeys.get(keyId)),
    countRequest: (keyId, kind, max) => answered(quotas.count(keyId, kind, max)),

    list: (options) => answered(listing.list(options)),

    follow: followers.follow,

    cancel,

    delete: deletion.delete,

    status: (tier) =>
      answered(
        (async () => {
          const alive = await workers.alive(tier);
          const alertAbove = alertPerWorker * Math.max(1, alive.length);
          const load = await ledger.read(tier, alertAbove);
          return { name: tier, depth: depthOf(load), load, workers: alive };
        })(),
      ),

    placesOf: (jobIds) => answered(lookUp.placesOf(jobIds)),

    waitingIn: (tier, range) => answered(readWaiting(tier, range)),
    move: (job, destination) => answered(move(job, destination)),

    batches: {
      create: (batch, options) => replicated(() => batches.create(batch, options)),
      get: (batchId) => answered(batches.get(batchId)),
      list: (options) => answered(batches.list(options)),
      open: (owner) => answered(batches.open(owner)),
      cancel: (batchId) => answered(batches.cancel(batchId)),
      segments: (batchId) => answered(batches.segments(batchId)),
      linesInSystem: (batchId) => answered(batches.linesInSystem(batchId)),
    },
    batchRuns,
    files: {
      ...files,
      create: (file, limits) => replicated(() => files.create(file, limits)),
    },

    backlog: () => answered(readBacklog({ redis, keys })),
    memory: guard.latest,
    webhookBacklog: () => answered(webhooks.backlog()),

    async sweep() {
      await guard.refresh();
      await sweeper.sweep();
    },

    async stop() {
      owedHolds.stop();
      await followers.stop();
      await replicas.stop();
      await queues.stop();
      await webhooks.stop();
      await replication.stop();
      await disconnect(redis);
    },
  };
}
