/**
 * Submitting: the writes by which a request becomes a job, in an order in which each crash between
 * two of them is mended, by whoever sends the request again or by the sweep.
 *
 * 1. The idempotency key, if there is one, is reserved with the id of the job.
 * 2. The quota of its API key, then the ledger of its tier: the limits are looked at once more, and
 *    the job has its place.
 * 3. The indexes: an entry without a job is tidied up, a job that no index knew would never be found.
 * 4. The record and its first event.
 * 5. The list of its owner or of its batch, then the queue entry.
 * 6. It is confirmed that the job outlives a failover, where that is asked for.
 * 7. The key is marked as written. One whose job was never confirmed and is lost stays reserved.
 *
 * Each may be done again with the same id, so a key makes one job however many ask for it at once.
 */
import { randomUUID } from 'node:crypto';
import { QarrError, isTerminalState } from '@qarr/router-core';
import type {
  CachedAnswer,
  EntryLimits,
  IdempotencyKey,
  JobClass,
  JobEvent,
  JobRecord,
  JobResult,
  JobState,
  NewJob,
} from '@qarr/router-core';
import { inTurn } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { LINE_KEPT_MS } from './batch-lines.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Closing } from './closing.ts';
import type { Idempotency } from './idempotency.ts';
import type { Keys } from './keys.ts';
import type { Found, Full, Ledger, LedgerEntry } from './ledger.ts';
import type { MemoryGuard } from './memory-guard.ts';
import type { OwedHolds } from './owed-holds.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';
import type { OverQuota, Quotas, TokenBudget } from './quota.ts';
import { newJobFields } from './record.ts';
import type { Replicas } from './replicas.ts';
import type { Retention } from './retention.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

/** The place that a job asks for. */
export interface Placement {
  /** What it is expected to cost, in generated tokens. */
  readonly tokens: number;
  readonly limits: EntryLimits;
  /** What its client is told, by what it found. */
  placeAt(found: Found): QueuePlace;
  readonly onCreated?: OnCreated | undefined;
}

/**
 * A job is there that was not, and will run, whatever becomes of the call that has made it: what
 * follows may fail, or be too late for whoever waits.
 */
export type OnCreated = (jobId: string) => void;

export interface QueuePlace {
  /** 1 is next. */
  readonly position: number;
  /** Null when nobody can tell. */
  readonly estimatedWaitMs: number | null;
}

export type Submission =
  | {
      readonly kind: 'created';
      readonly jobId: string;
      readonly place: QueuePlace;
      /** What is left to its API key; null where that has no limits. */
      readonly budget?: TokenBudget | null;
    }
  /** A limit of its tier is against it. Nothing was written. */
  | ({ readonly kind: 'full'; readonly why: Full } & Found)
  /** A limit of its API key is. */
  | { readonly kind: 'over_quota'; readonly why: OverQuota; readonly budget: TokenBudget }
  | KnownSubmission;

/** A request that makes no job. */
export type KnownSubmission =
  /** The job was there already. */
  | { readonly kind: 'attached'; readonly record: JobRecord }
  | {
      readonly kind: 'refused';
      readonly code: 'idempotency_key_reused' | 'idempotent_job_gone';
    };

/** Nothing was against it. */
export type Written = Exclude<Submission, { kind: 'full' | 'over_quota' }>;

const GONE = { kind: 'refused', code: 'idempotent_job_gone' } as const;
const REUSED = { kind: 'refused', code: 'idempotency_key_reused' } as const;

/** What became of a request, before its key is marked. */
export interface Unmarked<Result> {
  readonly submission: Result;
  /** To be called once it is certain that the job is there to stay: it must never be written anew. */
  mark(): Promise<void>;
}

export interface Submitter {
  submit(job: NewJob, placement: Placement): Promise<Unmarked<Submission>>;
  /** Writes a job that has its answer already: it waits for nothing, and no engine runs it. */
  submitAnswered(
    job: NewJob,
    answer: CachedAnswer,
    onCreated?: OnCreated,
  ): Promise<Unmarked<Written>>;
  /** What a key stands for; null where the job is still to be written. */
  findByKey(owner: string, key: IdempotencyKey): Promise<Unmarked<KnownSubmission | null>>;
}

export function createSubmitter({
  redis,
  keys,
  queues,
  ledger,
  closing,
  index,
  lines,
  quotas,
  owedHolds,
  idempotency,
  replicas,
  retention,
  createWithinMs,
  get,
  guard,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Queues;
  ledger: Ledger;
  closing: Closing;
  index: OwnerIndex;
  lines: Pick<BatchLines, 'opened'>;
  quotas: Pick<Quotas, 'enter' | 'giveUp'>;
  owedHolds: Pick<OwedHolds, 'owe'>;
  idempotency: Idempotency;
  replicas: Pick<Replicas, 'replicaId' | 'bind'>;
  retention: Retention;
  /** A record is written within so long of the beginning, or not at all. */
  createWithinMs: number;
  get: (jobId: string) => Promise<JobRecord | null>;
  guard: Pick<MemoryGuard, 'admit'>;
}): Submitter {
  async function write(job: NewJob, placement: Placement): Promise<Submission> {
    const fields = newJobFields(job, { tokens: placement.tokens, retention: retentionOf(job) });
    const written = await guard.admit(Buffer.byteLength(fields.join('')));
    try {
      return await withinQuota(job, () => writePlaced(job, { placement, fields }));
    } finally {
      // Where it failed, the sweep finds out whether there is a job.
      written();
    }
  }

  /** Where the job is not written after all, what it took of its key's quota is given back. */
  async function withinQuota<Result extends Submission>(
    job: NewJob,
    writeOnce: () => Promise<Result>,
  ): Promise<Result | (Submission & { kind: 'over_quota' })> {
    const { id: jobId, quota } = job;
    if (quota === undefined) return writeOnce();
    const hold = { keyId: quota.keyId, jobId, writer: randomUUID() };
    try {
      const { kind, budget } = await quotas.enter({ ...job, quota }, hold.writer);
      if (kind === 'concurrency' || kind === 'tokens') {
        return { kind: 'over_quota', why: kind, budget };
      }
      const submission = await writeOnce();
      if (submission.kind === 'created') return { ...submission, budget };
      const isOpen = submission.kind === 'attached' && !isTerminalState(submission.record.state);
      // Of one that is open, whoever has written it has taken the same.
      if (!isOpen) await quotas.giveUp(hold);
      return submission;
    } catch (error) {
      owedHolds.owe(hold);
      throw error;
    }
  }

  async function writePlaced(
    job: NewJob,
    { placement, fields }: { placement: Placement; fields: readonly string[] },
  ): Promise<Submission> {
    const { id: jobId, owner, tier } = job;
    const isFallback = job.rerouted !== undefined;
    const entry: LedgerEntry = {
      jobId,
      owner,
      class: job.class,
      tokens: placement.tokens,
      isFallback,
      startWithinMs: job.queueTimeoutMs,
    };
    const entered = await ledger.enter(tier, entry, placement.limits);
    if (entered.kind === 'full') return { kind: 'full', why: entered.why, ...entered.found };
    const { now, priority, found } = entered;
    const place = placement.placeAt(found);
    const created = await create(job, { now, place, fields });
    if (created.reply[0] === 'created') placement.onCreated?.(jobId);
    return await finishWriting(job, { created, priority, place, now });
  }

  async function writeAnswered(job: NewJob, answer: CachedAnswer, onCreated?: OnCreated) {
    const result = JSON.stringify({ ...answer.result, cached: true } satisfies JobResult);
    const fields = [
      ...newJobFields(job, { tokens: 0, retention: retentionOf(job) }),
      'result',
      result,
    ];
    const written = await guard.admit(Buffer.byteLength(fields.join('')));
    try {
      const now = await redisNow(redis);
      const place = { position: 0, estimatedWaitMs: 0 };
      const created = await create(job, {
        now,
        place,
        fields,
        events: answeredEvents(job, answer),
      });
      if (created.reply[0] === 'created') onCreated?.(job.id);
      return await finishWriting(job, { created, priority: 0, place, now });
    } finally {
      written();
    }
  }

  function retentionOf(job: NewJob): Retention {
    return job.batch === undefined ? retention : { ...retention, resultMs: LINE_KEPT_MS };
  }

  /** Returns false where it was in one of them: of a try before. */
  async function enterIndexes({ id, queueTimeoutMs }: NewJob, now: number): Promise<boolean> {
    const entered = await Promise.all([
      redis.zadd(keys.open, 'NX', now, id),
      redis.zadd(keys.deadlines, 'NX', now + queueTimeoutMs, id),
    ]);
    return entered.every((added) => added === 1);
  }

  async function opened(job: NewJob, createdAt: number): Promise<void> {
    if (job.batch !== undefined) await lines.opened(job.batch);
    else await index.opened({ jobId: job.id, owner: job.owner, createdAt });
  }

  /** The indexes, then the record and its first events. */
  async function create(
    job: NewJob,
    {
      now,
      place,
      fields,
      events = ['', '', ''],
    }: { now: number; place: QueuePlace; fields: readonly string[]; events?: readonly string[] },
  ): Promise<Created> {
    const queued = JSON.stringify({
      type: 'queued',
      tier: job.tier,
      route: job.reasons,
      position: place.position,
      estimated_wait_ms: place.estimatedWaitMs,
    });
    const [isEntered] = await Promise.all([
      enterIndexes(job, now),
      job.isBound === true ? replicas.bind(job.id, now) : null,
    ]);
    const bound = job.isBound === true ? ['bound', replicas.replicaId] : [];
    const latest = Math.min(now + createWithinMs, (job.writeBefore ?? Infinity) - 1);
    const head = [job.queueTimeoutMs, latest, queued, reroutedEvent(job), job.id];
    const reply = (await runScript(redis, 'create', {
      keys: [keys.job(job.id), keys.log(job.id)],
      args: [...head, ...events, ...fields, ...bound],
    })) as CreateReply;
    return { reply, isRetried: !isEntered };
  }

  /** What follows on the record: the owner's list, the queue entry. */
  async function finishWriting(
    job: NewJob,
    {
      created,
      priority,
      place,
      now,
    }: { created: Created; priority: number; place: QueuePlace; now: number },
  ): Promise<Written> {
    const { reply, isRetried } = created;
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
    const steps: (() => Promise<unknown>)[] = [];
    // A sweep may have found the entries of a first try without a job, and forgotten them just now.
    if (job.idempotency !== undefined || isRetried) steps.push(() => enterIndexes(job, now));
    // Before the queue has it, so that its end cannot be noted before its beginning.
    if (isNew || job.batch !== undefined) steps.push(() => opened(job, createdAt));
    if (isNew && state === 'queued') {
      steps.push(() => addEntry({ id: job.id, tier, epoch, class: jobClass }, priority));
    }
    await inTurn(redis, steps);
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
      const entered = await ledger.enter(job.tier, entryOf(job), null);
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

interface Created {
  readonly reply: CreateReply;
  /** Somebody has tried it before. */
  readonly isRetried: boolean;
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

/** What a ledger is told of a job that has a record. */
function entryOf({ id: jobId, owner, class: jobClass, cost, ...job }: JobRecord): LedgerEntry {
  return {
    jobId,
    owner,
    class: jobClass,
    tokens: cost,
    isFallback: job.rerouted !== null,
    startWithinMs: job.queueDeadline - job.createdAt,
  };
}

/** Empty for a job that is where it was routed. */
function reroutedEvent({ tier, rerouted }: NewJob): string {
  if (rerouted === undefined) return '';
  return JSON.stringify({
    type: 'rerouted',
    from: rerouted.from,
    to: tier,
    reason: rerouted.reason,
  });
}

/** As if a worker had run it. */
function answeredEvents({ tier }: NewJob, { result, usage }: CachedAnswer): string[] {
  const { text, reasoning, finish_reason } = result;
  const timings = { queue_wait_ms: 0, ttft_ms: 0, run_ms: 0 };
  const events: JobEvent[] = [
    { type: 'started', tier, worker: 'cache', attempt: 1 },
    { type: 'delta', text, ...(reasoning === undefined ? {} : { reasoning }) },
    { type: 'completed', finish_reason, usage, timings, cached: true },
  ];
  return events.map((event) => JSON.stringify(event));
}
