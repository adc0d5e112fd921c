/**
 * Submitting: the writes by which a request becomes a job, in an order in which each crash between
 * two of them is mended, by whoever sends the request again or by the sweep.
 *
 * 1. The idempotency key, if there is one, is reserved with the id of the job.
 * 2. The indexes: an entry without a job is tidied up, a job that no index knew would never be found.
 * 3. The record and its first event.
 * 4. The owner's list, then the queue entry. 5. The key is marked as written.
 *
 * Each may be done again with the same id, so a key makes one job however many ask for it at once.
 */
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { IdempotencyKey, JobClass, JobRecord, JobState, NewJob } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import type { Closing } from './closing.ts';
import type { Idempotency } from './idempotency.ts';
import type { Keys } from './keys.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';
import { newJobFields } from './record.ts';
import type { Replicas } from './replicas.ts';
import type { Retention } from './retention.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

export interface QueuePlace {
  /** 1 is next. */
  readonly position: number;
  /** Null when nobody can tell. */
  readonly estimatedWaitMs: number | null;
}

export type Submission =
  | { readonly kind: 'created'; readonly jobId: string; readonly place: QueuePlace }
  | KnownSubmission;

/** A request that makes no job. */
export type KnownSubmission =
  /** The job was there already. */
  | { readonly kind: 'attached'; readonly record: JobRecord }
  | {
      readonly kind: 'refused';
      readonly code: 'idempotency_key_reused' | 'idempotent_job_gone';
    };

const GONE = { kind: 'refused', code: 'idempotent_job_gone' } as const;
const REUSED = { kind: 'refused', code: 'idempotency_key_reused' } as const;

export interface Submitter {
  /** `placeAt` says what the client is told of its place behind `depth` jobs that wait. */
  submit(job: NewJob, placeAt: (depth: number) => QueuePlace): Promise<Submission>;
  /** What a key stands for; null where the job is still to be written. */
  findByKey(owner: string, key: IdempotencyKey): Promise<KnownSubmission | null>;
}

export function createSubmitter({
  redis,
  keys,
  queues,
  closing,
  index,
  idempotency,
  replicas,
  retention,
  createWithinMs,
  get,
  guard,
}: {
  redis: Redis;
  keys: Keys;
  queues: Queues;
  closing: Closing;
  index: OwnerIndex;
  idempotency: Idempotency;
  replicas: Pick<Replicas, 'replicaId' | 'bind'>;
  retention: Retention;
  /** A record is written within so long of the beginning, or not at all. */
  createWithinMs: number;
  get: (jobId: string) => Promise<JobRecord | null>;
  guard: Pick<MemoryGuard, 'admit'>;
}): Submitter {
  type PlaceAt = (depth: number) => QueuePlace;

  async function write(job: NewJob, placeAt: PlaceAt): Promise<Submission> {
    const fields = newJobFields(job, retention);
    const written = await guard.admit(Buffer.byteLength(fields.join('')));
    try {
      return await writeAdmitted(job, { fields, placeAt });
    } finally {
      written();
    }
  }

  async function enterIndexes({ id, queueTimeoutMs }: NewJob, now: number): Promise<void> {
    await Promise.all([
      redis.zadd(keys.open, 'NX', now, id),
      redis.zadd(keys.deadlines, 'NX', now + queueTimeoutMs, id),
    ]);
  }

  async function writeAdmitted(
    job: NewJob,
    { fields, placeAt }: { fields: readonly string[]; placeAt: PlaceAt },
  ): Promise<Submission> {
    const [now, depth] = await Promise.all([redisNow(redis), queues.depth(job.tier)]);
    const place = placeAt(depth);
    const queued = JSON.stringify({
      type: 'queued',
      tier: job.tier,
      route: job.reasons,
      position: place.position,
      estimated_wait_ms: place.estimatedWaitMs,
    });
    await Promise.all([
      enterIndexes(job, now),
      job.isBound === true ? replicas.bind(job.id, now) : null,
    ]);
    const bound = job.isBound === true ? ['bound', replicas.replicaId] : [];
    const reply = (await runScript(redis, 'create', {
      keys: [keys.job(job.id), keys.log(job.id)],
      args: [job.queueTimeoutMs, now + createWithinMs, queued, ...fields, ...bound],
    })) as CreateReply;
    if (reply[0] === 'late') throw new QarrError('queue_unavailable');
    if (reply[0] === 'deleted') return GONE;
    const [outcome, state, tier, epoch, jobClass, createdAt] = reply;
    await Promise.all([
      // A sweep may have found the entries of a first try without a job, and forgotten them just now.
      job.idempotency !== undefined && enterIndexes(job, now),
      // Before the queue has it, so that its end cannot be noted before its beginning.
      outcome === 'created' && index.opened({ jobId: job.id, owner: job.owner, createdAt }),
      enqueue({ id: job.id, state, tier, epoch, class: jobClass }),
    ]);
    if (outcome === 'created') return { kind: 'created', jobId: job.id, place };
    return attach(job.id);
  }

  /** By what its record says: two that wrote it at once may have been of two minds about its tier. */
  async function enqueue(job: Pick<JobRecord, 'id' | 'state' | 'tier' | 'epoch' | 'class'>) {
    if (isTerminalState(job.state)) await closing.close(job.id);
    else if (job.state === 'queued' && queues.has(job.tier)) {
      await queues.add(job.tier, { jobId: job.id, epoch: job.epoch, class: job.class });
    }
  }

  async function attach(jobId: string): Promise<KnownSubmission> {
    const record = await get(jobId);
    if (record === null) return GONE;
    return { kind: 'attached', record };
  }

  return {
    async submit(job, placeAt) {
      const { idempotency: key, owner } = job;
      if (key === undefined) return write(job, placeAt);
      const standing = await idempotency.take(owner, key, job.id);
      if (standing.kind === 'other_body') return REUSED;
      if (standing.kind === 'written') return attach(standing.jobId);
      const submission = await write({ ...job, id: standing.jobId }, placeAt);
      await idempotency.markWritten(owner, key.key, standing.jobId);
      return submission;
    },

    async findByKey(owner, key) {
      const standing = await idempotency.find(owner, key);
      if (standing === null) return null;
      if (standing.kind === 'other_body') return REUSED;
      if (standing.kind === 'written') return attach(standing.jobId);
      const record = await get(standing.jobId);
      if (record === null) return null;
      await enqueue(record);
      await idempotency.markWritten(owner, key.key, record.id);
      return { kind: 'attached', record };
    },
  };
}

type CreateReply =
  | ['late']
  | ['deleted']
  | [
      outcome: 'created' | 'existed',
      state: JobState,
      tier: string,
      epoch: number,
      jobClass: JobClass,
      createdAt: number,
    ];
