/**
 * Submitting: the writes by which a request becomes a job, in an order in which each crash between
 * two of them is mended, by whoever sends the request again or by the sweep.
 *
 * 1. The idempotency key, if there is one, is reserved with the id of the job.
 * 2. The job is written: what it takes of its key's limits, its place in the ledger of its tier, the
 *    indexes, the record and its first events, and the list of its owner. On one server that is one
 *    script (`write-as-one.ts`), on a cluster step by step (`write-in-turn.ts`).
 * 3. The list of its batch, then the queue entry.
 * 4. It is confirmed that the job outlives a failover, where that is asked for.
 * 5. The key is marked as written. One whose job was never confirmed and is lost stays reserved.
 *
 * Each may be done again with the same id, so a key makes one job however many ask for it at once.
 */
import { randomUUID } from 'node:crypto';
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { CachedAnswer, IdempotencyKey, JobRecord, JobResult, NewJob } from '@qarr/router-core';
import { LINE_KEPT_MS } from './batch-lines.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Closing } from './closing.ts';
import { answeredEvents, firstEvents } from './first-events.ts';
import type { Followers } from './followers.ts';
import type { Idempotency } from './idempotency.ts';
import { entryOfKnown } from './job-writing.ts';
import type { JobWriting, Written } from './job-writing.ts';
import type { Ledger } from './ledger.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { OwedHolds } from './owed-holds.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';
import type { Quotas } from './quota.ts';
import { newJobFields } from './record.ts';
import { inTurn, isCluster } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { RedisClock } from './redis-clock.ts';
import type { Replicas } from './replicas.ts';
import type { Retention } from './retention.ts';
import type {
  Accepted,
  KnownSubmission,
  OnCreated,
  Placement,
  Submission,
  Unmarked,
} from './submission.ts';
import type { WritingInTurn } from './write-in-turn.ts';

const GONE = { kind: 'refused', code: 'idempotent_job_gone' } as const;
const REUSED = { kind: 'refused', code: 'idempotency_key_reused' } as const;

export interface Submitter {
  submit(job: NewJob, placement: Placement): Promise<Unmarked<Submission>>;
  /** Writes a job that has its answer already: it waits for nothing, and no engine runs it. */
  submitAnswered(
    job: NewJob,
    answer: CachedAnswer,
    onCreated?: OnCreated,
  ): Promise<Unmarked<Accepted>>;
  /** What a key stands for; null where the job is still to be written. */
  findByKey(owner: string, key: IdempotencyKey): Promise<Unmarked<KnownSubmission | null>>;
}

export function createSubmitter({
  redis,
  queues,
  ledger,
  closing,
  index,
  lines,
  quotas,
  owedHolds,
  idempotency,
  replicas,
  followers,
  clock,
  retention,
  inOne,
  steps,
  get,
  guard,
}: {
  redis: RedisClient;
  queues: Queues;
  ledger: Ledger;
  closing: Closing;
  index: OwnerIndex;
  lines: Pick<BatchLines, 'opened'>;
  quotas: Pick<Quotas, 'giveUp'>;
  owedHolds: Pick<OwedHolds, 'owe'>;
  idempotency: Idempotency;
  replicas: Pick<Replicas, 'replicaId'>;
  followers: Pick<Followers, 'expect'>;
  clock: Pick<RedisClock, 'read'>;
  retention: Retention;
  /** How a job is written on one server. */
  inOne: JobWriting;
  /** And on a cluster. */
  steps: WritingInTurn;
  get: (jobId: string) => Promise<JobRecord | null>;
  guard: Pick<MemoryGuard, 'admit'>;
}): Submitter {
  const writing = isCluster(redis) ? steps : inOne;

  async function write(job: NewJob, placement: Placement): Promise<Submission> {
    const expected = job.isBound === true ? followers.expect(job.id) : null;
    const followed = expected === null ? [] : ['followers', expected.channel];
    const fields = [
      ...newJobFields(job, { tokens: placement.tokens, retention: retentionOf(job) }),
      ...boundTo(job),
      ...followed,
    ];
    try {
      const admitted = await guard.admit(Buffer.byteLength(fields.join('')));
      try {
        return await held(job, async (writer) => {
          const wrote = await writing.write(job, { placement, fields, writer });
          if (wrote.kind !== 'written') return wrote;
          if (wrote.created[0] === 'created') placement.onCreated?.(job.id);
          const submission = await finishWriting(job, wrote);
          if (submission.kind !== 'created') return submission;
          expected?.written(firstEvents(job, wrote.queued));
          return { ...submission, found: wrote.found, budget: wrote.budget };
        });
      } finally {
        // Where it failed, the sweep finds out whether there is a job.
        admitted();
      }
    } finally {
      expected?.settle();
    }
  }

  /** Where the job is not written after all, what it took of its key's quota is given back. */
  async function held(
    { id: jobId, quota }: NewJob,
    writeOnce: (writer: string) => Promise<Submission>,
  ): Promise<Submission> {
    const writer = randomUUID();
    if (quota === undefined) return writeOnce(writer);
    const hold = { keyId: quota.keyId, jobId, writer };
    try {
      const submission = await writeOnce(writer);
      const { kind } = submission;
      const isOpen = kind === 'attached' && !isTerminalState(submission.record.state);
      // Of one that is open, whoever has written it has taken the same.
      const isTaken = kind !== 'over_quota' && kind !== 'created' && !isOpen;
      if (isTaken) await quotas.giveUp(hold);
      return submission;
    } catch (error) {
      owedHolds.owe(hold);
      throw error;
    }
  }

  async function writeAnswered(job: NewJob, answer: CachedAnswer, onCreated?: OnCreated) {
    const result = JSON.stringify({ ...answer.result, cached: true } satisfies JobResult);
    const fields = [
      ...newJobFields(job, { tokens: 0, retention: retentionOf(job) }),
      ...boundTo(job),
      'result',
      result,
    ];
    const admitted = await guard.admit(Buffer.byteLength(fields.join('')));
    try {
      const now = await clock.read();
      const place = { position: 0, estimatedWaitMs: 0 };
      const events = answeredEvents(job, answer);
      const written = await steps.create(job, { now, place, fields, events });
      if (written.created[0] === 'created') onCreated?.(job.id);
      return await finishWriting(job, { ...written, priority: 0, place, now });
    } finally {
      admitted();
    }
  }

  function boundTo({ isBound }: NewJob): string[] {
    return isBound === true ? ['bound', replicas.replicaId] : [];
  }

  function retentionOf(job: NewJob): Retention {
    return job.batch === undefined ? retention : { ...retention, resultMs: LINE_KEPT_MS };
  }

  /** What follows on the record: the list that it is in, unless it is there already, and the queue entry. */
  async function finishWriting(
    job: NewJob,
    { created: reply, isRetried, isListed, priority, place, now }: Written,
  ): Promise<Accepted> {
    if (reply[0] === 'late') {
      await ledger.leave(job.tier, job.id);
      throw new QarrError('queue_unavailable');
    }
    if (reply[0] === 'deleted') {
      await ledger.leave(job.tier, job.id);
      return GONE;
    }
    const [outcome, state, tier, epoch, jobClass, createdAt] = reply;
    const isNew = outcome === 'created';
    const after: (() => Promise<unknown>)[] = [];
    // A sweep may have found the entries of a first try without a job, and forgotten them just now.
    if (job.idempotency !== undefined || isRetried) after.push(() => steps.enterIndexes(job, now));
    // Before the queue has it, so that its end cannot be noted before its beginning.
    const { batch } = job;
    if (batch !== undefined && !isListed) after.push(() => lines.opened(batch));
    else if (isNew && !isListed) {
      after.push(() => index.opened({ ...job, jobId: job.id, createdAt }));
    }
    if (isNew && state === 'queued') {
      after.push(() => addEntry({ id: job.id, tier, epoch, class: jobClass }, priority));
    }
    await inTurn(redis, after);
    if (isNew && state !== 'queued') await closing.close(job.id);
    if (isNew) return { kind: 'created', jobId: job.id, place };
    // Two that wrote it at once may have been of two minds about its tier: its record says which.
    if (tier !== job.tier) await ledger.leave(job.tier, job.id);
    const known = await attach(job.id);
    if (known.kind === 'attached') await enqueue(known.record);
    return known;
  }

  async function enqueue(job: JobRecord): Promise<void> {
    if (isTerminalState(job.state)) await closing.close(job.id);
    else if (job.state === 'queued' && queues.has(job.tier)) {
      const entered = await ledger.enter(job.tier, entryOfKnown(job), null);
      if (entered.kind === 'entered') await addEntry(job, entered.priority);
    }
  }

  async function addEntry(
    { id: jobId, tier, epoch, class: jobClass }: Pick<JobRecord, 'id' | 'tier' | 'epoch' | 'class'>,
    priority: number,
  ): Promise<void> {
    if (queues.has(tier)) await queues.add(tier, { jobId, epoch, class: jobClass }, priority);
  }

  async function attach(jobId: string): Promise<KnownSubmission> {
    const record = await get(jobId);
    if (record === null) return GONE;
    return { kind: 'attached', record };
  }

  /** Writes it under the id that its key stands for, unless that was done before. */
  async function once<Result extends Submission>(
    job: NewJob,
    writeAs: (job: NewJob) => Promise<Result>,
  ): Promise<Unmarked<Result | KnownSubmission>> {
    const { idempotency: key, owner } = job;
    if (key === undefined) return unmarkable(await writeAs(job));
    const standing = await idempotency.take(owner, key, job.id);
    if (standing.kind === 'other_body') return unmarkable(REUSED);
    const { jobId } = standing;
    if (standing.kind === 'written') return unmarkable(await attach(jobId));
    const submission = await writeAs({ ...job, id: jobId });
    // The key stands for this id, whenever its job is written.
    if (submission.kind === 'full' || submission.kind === 'over_quota') {
      return unmarkable(submission);
    }
    return { submission, mark: () => idempotency.markWritten(owner, key.key, jobId) };
  }

  return {
    submit: (job, placement) => once(job, (named) => write(named, placement)),
    submitAnswered: (job, answer, onCreated) =>
      once(job, (named) => writeAnswered(named, answer, onCreated)),

    async findByKey(owner, key) {
      const standing = await idempotency.find(owner, key);
      if (standing === null) return unmarkable(null);
      if (standing.kind === 'other_body') return unmarkable(REUSED);
      const { jobId } = standing;
      if (standing.kind === 'written') return unmarkable(await attach(jobId));
      const record = await get(jobId);
      if (record === null) return unmarkable(null);
      await enqueue(record);
      const submission = { kind: 'attached', record } as const;
      return { submission, mark: () => idempotency.markWritten(owner, key.key, jobId) };
    },
  };
}

/** Of no key, or of one that stands as it shall. */
function unmarkable<Result>(submission: Result): Unmarked<Result> {
  return { submission, async mark() {} };
}
