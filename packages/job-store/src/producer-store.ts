/**
 * The job store as a server sees it: submit, look up, list, follow, cancel, delete, and mend what a
 * crash left.
 * It fails fast: a call that Redis does not answer in time throws `queue_unavailable`.
 */
import { depthOf } from '@qarr/router-core';
import type {
  CachedAnswer,
  IdempotencyKey,
  JobClass,
  JobRecord,
  JobState,
  NewJob,
  TierStatus,
} from '@qarr/router-core';
import { answered } from './answered.ts';
import { createApiKeys } from './api-keys.ts';
import { readBacklog } from './backlog.ts';
import type { Backlog } from './backlog.ts';
import type { ApiKeys } from './api-keys.ts';
import { createBatchIndex } from './batch-index.ts';
import { createBatchLines } from './batch-lines.ts';
import { createBatchRecords } from './batch-records.ts';
import type { BatchRecords } from './batch-records.ts';
import { createBatchRuns } from './batch-runs.ts';
import type { BatchRuns } from './batch-runs.ts';
import { createClosing } from './closing.ts';
import { connectProducer, disconnect, whenReady } from './connections.ts';
import { cancelDeadline } from './deadlines.ts';
import { createDeletion } from './deletion.ts';
import { createFileRecords } from './file-records.ts';
import type { FileRecords } from './file-records.ts';
import { createFollowers } from './followers.ts';
import type { Followers } from './followers.ts';
import { createIdempotency } from './idempotency.ts';
import { createJobChanges } from './job-changes.ts';
import type { OnChange } from './job-changes.ts';
import { createKeys, queueOf } from './keys.ts';
import { createLedger } from './ledger.ts';
import { createMove } from './move.ts';
import type { Move } from './move.ts';
import { createListing } from './listing.ts';
import type { Listing } from './listing.ts';
import { createMemoryGuard } from './memory-guard.ts';
import type { RedisMemory } from './memory-guard.ts';
import { createOwedHolds } from './owed-holds.ts';
import { createOwnerIndex } from './owner-index.ts';
import { createQueues } from './queues.ts';
import { createQuotas } from './quota.ts';
import type { Quotas } from './quota.ts';
import { parseRecord } from './record.ts';
import { checkRedis, pingRedis } from './redis-check.ts';
import type { RedisProblems } from './redis-check.ts';
import { pipelineOf } from './redis-client.ts';
import { createReplication } from './replication.ts';
import { createReplicas } from './replicas.ts';
import { DEFAULT_RETENTION, DUE_EVENTS } from './retention.ts';
import type { Retention } from './retention.ts';
import { runScript } from './scripts.ts';
import { createSubmitter } from './submitter.ts';
import type {
  KnownSubmission,
  OnCreated,
  Placement,
  Submission,
  Unmarked,
  Written,
} from './submitter.ts';
import { createSweeper } from './sweeper.ts';
import { createReadWaiting } from './waiting.ts';
import type { ReadWaiting } from './waiting.ts';
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
const ALERT_PER_WORKER = 15;

export interface ProducerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  /** Rejects where Redis does not serve: of a cluster, each of its masters. */
  ping(): Promise<void>;
  /**
   * Writes the job, then its queue entry. Calling it again with the same id, or with another one and
   * the same idempotency key, is safe.
   */
  submit(job: NewJob, placement: Placement): Promise<Submission>;
  /** Writes a job that has its answer already: it waits for nothing, and no engine runs it. */
  submitAnswered(job: NewJob, answer: CachedAnswer, onCreated?: OnCreated): Promise<Written>;
  /** What a tier has answered to this request last, if that is still known. */
  findAnswer(tier: string, requestHash: string): Promise<CachedAnswer | null>;
  /** What an idempotency key stands for; null where the job is still to be written. */
  findByKey(owner: string, key: IdempotencyKey): Promise<KnownSubmission | null>;
  get(jobId: string): Promise<JobRecord | null>;
  findKey: ApiKeys['find'];
  getKey: ApiKeys['get'];
  countRequest: Quotas['count'];
  list: Listing['list'];
  follow: Followers['follow'];
  /** Cancels. Returns the state after the call, or null when there is no such job. */
  cancel(jobId: string): Promise<JobState | null>;
  /** Deletes the job and all that is known of it. Returns false where there is no such job. */
  delete(jobId: string): Promise<boolean>;
  status(tier: string): Promise<TierStatus>;
  /** Where these jobs stand in their queues, 1 being next; null for one that does not wait. */
  placesOf(jobIds: readonly string[]): Promise<(number | null)[]>;
  /** What waits in a tier and may be moved to another one. */
  waitingIn: ReadWaiting;
  /** Moves a waiting job to another tier, which must not be done but by its client's consent. */
  move: Move;
  readonly batches: BatchRecords;
  /** For the runner of batches alone. */
  readonly batchRuns: BatchRuns;
  readonly files: FileRecords;
  backlog(): Promise<Backlog>;
  /** How full Redis is; null before it was asked. As of the last submission or sweep. */
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
  const submitter = createSubmitter({
    redis,
    keys,
    queues,
    ledger,
    closing,
    index,
    lines,
    quotas,
    owedHolds,
    idempotency: createIdempotency({ redis, keys, ttlMs: idempotencyTtlMs }),
    replicas,
    retention,
    createWithinMs,
    get: lookUp,
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

  async function lookUp(jobId: string): Promise<JobRecord | null> {
    return parseRecord(await redis.hgetall(keys.job(jobId)));
  }

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

  async function findAnswer(tier: string, requestHash: string): Promise<CachedAnswer | null> {
    const jobId = await redis.get(keys.answer(tier, requestHash));
    const record = jobId === null ? null : await lookUp(jobId);
    // It may have been deleted since, or its time is over.
    if (record?.state !== 'completed' || record.result === null) return null;
    return { result: record.result, usage: record.usage };
  }

  async function placesOf(jobIds: readonly string[]): Promise<(number | null)[]> {
    const pipeline = pipelineOf(redis);
    for (const id of jobIds) pipeline.hmget(keys.job(id), 'state', 'tier', 'class', 'epoch');
    const replies = (await pipeline.exec()) ?? [];
    const waiting = jobIds.flatMap((jobId, at) => {
      const [state, tier, jobClass, epoch] = (replies[at]?.[1] ?? []) as (string | null)[];
      if (state !== 'queued' || !tier || !queues.has(tier)) return [];
      return [{ jobId, tier, queue: queueOf(jobClass as JobClass), epoch: Number(epoch) }];
    });
    const positions = await queues.positions(waiting);
    const places = new Map(waiting.map(({ jobId }, at) => [jobId, positions[at] ?? null]));
    return jobIds.map((jobId) => places.get(jobId) ?? null);
  }

  async function cancel(jobId: string): Promise<JobState | null> {
    const reply = (await answered(
      runScript(redis, 'cancel', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [jobId, DUE_EVENTS.cancelledUnrun, DUE_EVENTS.cancelledAfterRun],
      }),
    )) as ['gone'] | [JobState, cancelAt: number, hasEnded: 0 | 1];
    const [state, cancelAt, hasEnded] = reply;
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
    if (hasEnded === 1) await changes.tell(jobId, 'cancelled');
    // It will not run in any case; this only tidies up, and the sweep does it again.
    if (state === 'cancelled') await closing.close(jobId).catch(onError);
    return state;
  }

  return {
    check: () => answered(checkRedis(redis)),

    ping: () => answered(pingRedis(redis)),

    submit: (job, placement) => confirmed(() => submitter.submit(job, placement)),
    submitAnswered: (...call) => confirmed(() => submitter.submitAnswered(...call)),
    findAnswer: (tier, requestHash) => answered(findAnswer(tier, requestHash)),
    findByKey: (owner, key) => confirmed(() => submitter.findByKey(owner, key)),

    get: (jobId) => answered(lookUp(jobId)),

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

    placesOf: (jobIds) => answered(placesOf(jobIds)),

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
