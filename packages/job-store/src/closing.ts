/**
 * What is left to do beside a job's own keys once it has ended, or was deleted.
 *
 * It stays in the index of open jobs until all of that is done, so that the sweep does it again
 * where a process died in the middle: each step may be done twice.
 */
import { isTerminalState } from '@qarr/router-core';
import type {
  BatchLineRef,
  JobClass,
  JobState,
  Rerouted,
  TerminalEvent,
  TerminalState,
} from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { LINE_KEPT_MS } from './batch-lines.ts';
import type { BatchLines } from './batch-lines.ts';
import { markingWritten } from './idempotency.ts';
import { queueOf } from './keys.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { keptMember } from './owner-index.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';
import { tokensUsed } from './quota.ts';
import type { Quotas } from './quota.ts';
import { DEFAULT_RETENTION } from './retention.ts';
import { runScript, takeSteps } from './scripts.ts';
import type { Step } from './scripts.ts';
import type { WebhookQueue } from './webhook-queue.ts';

/** What is the same from a job's start to its end. */
export const LASTING_FIELDS = [
  'tier',
  'class',
  'epoch',
  'owner',
  'created_at',
  'result_ttl_ms',
  'idempotency_key',
  'bound',
  'webhook_events',
  'request_hash',
  'answer_ttl_ms',
  'rerouted',
  'quota_key',
  'quota_prompt',
  'batch',
] as const;
const FIELDS = [
  ...LASTING_FIELDS,
  'state',
  'deleted',
  'finished_at',
  'attempt',
  'tokens_made',
  'final',
] as const;

/** What a job leaves behind that is not of its record's slot. */
export type Lasting = ReturnType<typeof lastingOf>;

/** A job that has ended, or is about to. */
interface Ended extends Lasting {
  readonly state: TerminalState;
  readonly attempt: number;
  readonly tokensMade: number | null;
  readonly final: TerminalEvent | null;
  /** When its record goes, by Redis's clock. */
  readonly keptUntil: number;
}

export interface Closing {
  /**
   * Nothing where the job has not ended; of one that is gone, only the indexes are tidied up.
   * Returns true when nothing is left to do.
   */
  close(jobId: string): Promise<boolean>;
  /**
   * The same of a job that ends here, as steps behind the one that ends it, where all is on one server:
   * whoever takes them all need not close it. Null where there is more to do than Redis can.
   */
  atOnce(job: Omit<Ended, 'keptUntil'>): AtOnce | null;
}

interface AtOnce {
  /** A sorted set in which the step that ends it notes when its record goes, and its name there; or none. */
  readonly keptIn: readonly string[];
  readonly keptAs: string;
  readonly steps: Step[];
}

export function createClosing({
  redis,
  keys,
  index,
  lines,
  queues,
  ledger,
  quotas,
  webhooks,
}: {
  redis: RedisClient;
  keys: Keys;
  index: OwnerIndex;
  lines: Pick<BatchLines, 'ended' | 'ending' | 'forgetLate'>;
  /** Null for a worker, which holds the entry itself and gives it up next. */
  queues: Queues | null;
  ledger: Pick<Ledger, 'leave' | 'leaving'>;
  quotas: Pick<Quotas, 'leaving'>;
  webhooks: Pick<WebhookQueue, 'add' | 'remove'>;
}): Closing {
  async function read(jobId: string) {
    const [values, openSince] = await Promise.all([
      redis.hmget(keys.job(jobId), ...FIELDS),
      redis.zscore(keys.open, jobId),
    ]);
    const record = recordOf(FIELDS, values);
    const { tokens_made: tokensMade, final } = record;
    const lasting = lastingOf(jobId, values);
    return {
      ...lasting,
      state: record.state as JobState | null,
      deleted: record.deleted,
      keptUntil: Number(record.finished_at) + lasting.resultTtlMs,
      attempt: Number(record.attempt),
      // A word in place of a number says that nobody knows.
      tokensMade: tokensMade !== null && /^\d+$/.test(tokensMade) ? Number(tokensMade) : null,
      final: final === null ? null : (JSON.parse(final) as TerminalEvent),
      isOpen: openSince !== null,
    };
  }
  type Job = Awaited<ReturnType<typeof read>>;

  /** What its API key has for other jobs again. */
  function settlingQuota(job: Omit<Ended, 'state' | 'keptUntil'>): Step[] {
    return job.quotaKey === null ? [] : [quotas.leaving(job.quotaKey, job.jobId, tokensUsed(job))];
  }

  /** The last says of a line of a batch whether anybody waits for its outcome. */
  function stepsOf(job: Omit<Ended, 'keptUntil'>, noting: Step[]): Step[] {
    const { jobId, owner, line, idempotencyKey: key, requestHash, state } = job;
    // First, as a Redis that is full refuses some of what follows.
    const steps = job.tier === '' ? [] : [ledger.leaving(job.tier, jobId)];
    steps.push(...settlingQuota(job), ...noting);
    // Whoever submitted it may have died before: without this its key could make it once more.
    if (key !== null) steps.push(markingWritten(keys, { owner, key, jobId }));
    if (job.replicaId !== null) {
      steps.push({ command: 'srem', keys: [keys.bound(job.replicaId)], args: [jobId] });
    }
    if (requestHash !== null && state === 'completed') {
      const args = [jobId, 'PX', job.answerTtlMs];
      steps.push({ command: 'set', keys: [keys.answer(job.tier, requestHash)], args });
    }
    if (line !== null) steps.push(lines.ending(line));
    return steps;
  }

  async function closeEnded(job: Ended): Promise<boolean> {
    const { jobId, line } = job;
    const steps = stepsOf(job, line === null ? index.ending(job) : []);
    const replies = await takeSteps(redis, steps);
    if (line === null) await index.checkEnded(job);
    else if (replies.at(-1) === 0) await lines.forgetLate(line);
    if (job.webhookEvents.includes(job.state)) await webhooks.add(jobId);
    // A tier that this process does not know is for one that does.
    const isOut = queues?.has(job.tier) ? await queues.remove(job.tier, job) : true;
    if (isOut) await leaveIndexes(jobId);
    return isOut;
  }

  async function closeDeleted(job: Job): Promise<boolean> {
    const isAwaited = job.line !== null && (await lines.ended(job.line));
    if (job.line === null) await index.remove(job);
    if (job.idempotencyKey !== null) {
      const name = keys.idempotency(job.owner, job.idempotencyKey);
      await runScript(redis, 'release', { keys: [name], args: [job.jobId] });
    }
    if (job.replicaId !== null) await redis.srem(keys.bound(job.replicaId), job.jobId);
    await webhooks.remove(job.jobId);
    for (const { keys: names, args } of settlingQuota(job)) {
      await runScript(redis, 'quota-leave', { keys: names, args });
    }
    // Also where it was before: of a process that died while it moved the job, something is left there.
    for (const tier of [job.tier, job.formerTier]) if (tier) await ledger.leave(tier, job.jobId);
    if (queues === null || !(await eraseEntries(job, queues))) return false;
    // Its line would be fed once more by a runner that did not know of this.
    const buried = isAwaited ? LINE_KEPT_MS : '';
    await runScript(redis, 'bury', { keys: [keys.job(job.jobId)], args: [buried] });
    await leaveIndexes(job.jobId);
    return true;
  }

  /** What only open jobs are in, but for the indexes. */
  function leavingLists({ jobId, tier, owner }: Pick<Lasting, 'jobId' | 'tier' | 'owner'>): Step[] {
    const list: Step = { command: 'zrem', keys: [keys.jobsOf(owner, 'open')], args: [jobId] };
    return [ledger.leaving(tier, jobId), list];
  }

  /** Returns false where one stays, because a worker holds it. */
  async function eraseEntries(job: Job, { has, erase }: Queues): Promise<boolean> {
    const { tier, formerTier, epoch } = job;
    const isErased = await Promise.all([
      !has(tier) || erase(tier, job),
      formerTier === null || !has(formerTier) || erase(formerTier, { ...job, epoch: epoch - 1 }),
    ]);
    return isErased.every(Boolean);
  }

  async function leaveIndexes(jobId: string): Promise<void> {
    const replies = await pipelineOf(redis, { inOrder: true })
      .zrem(keys.deadlines, jobId)
      .zrem(keys.started, jobId)
      .zrem(keys.open, jobId)
      .hexists(keys.job(jobId), 'deleted')
      .exec();
    // It is being deleted meanwhile, by somebody who may die before the end of that.
    if (replies?.at(-1)?.[1] === 1) await redis.zadd(keys.open, 'NX', 0, jobId);
  }

  /**
   * A submission may have been tried again and written the job only now. It enters its indexes before
   * and after that: what was taken out meanwhile is put back by it, or here. Too early a deadline is
   * put right by whoever looks at it.
   */
  async function enterAgain(jobId: string): Promise<boolean> {
    const createdAt = await redis.hget(keys.job(jobId), 'created_at');
    if (createdAt === null) return false;
    await pipelineOf(redis)
      .zadd(keys.open, 'NX', createdAt, jobId)
      .zadd(keys.deadlines, 'NX', createdAt, jobId)
      .exec();
    return true;
  }

  return {
    atOnce(job) {
      const { jobId, line } = job;
      if (job.webhookEvents.includes(job.state)) return null;
      const leaving = [keys.deadlines, keys.started, keys.open].map((name): Step => {
        return { command: 'zrem', keys: [name], args: [jobId] };
      });
      return {
        keptIn: line === null ? [keys.kept] : [],
        keptAs: keptMember(job),
        steps: [...stepsOf(job, line === null ? index.moving(job) : []), ...leaving],
      };
    },
    async close(jobId) {
      const job = await read(jobId);
      const { state } = job;
      if (job.deleted !== null) return closeDeleted(job);
      if (state !== null && !isTerminalState(state)) return false;
      if (state !== null && job.isOpen) return closeEnded({ ...job, state });
      // Gone, or closed before: nothing is done once more, such as to announce the end. A sweep that saw it
      // open may have put it back just now.
      if (state !== null && job.line === null) await takeSteps(redis, leavingLists(job));
      await leaveIndexes(jobId);
      return state !== null || !(await enterAgain(jobId));
    },
  };
}

/** Of the values of fields that begin with the lasting ones. */
export function lastingOf(jobId: string, values: readonly (string | null)[]) {
  const record = recordOf(LASTING_FIELDS, values);
  const resultTtlMs = Number(record.result_ttl_ms ?? DEFAULT_RETENTION.resultMs);
  return {
    jobId,
    tier: record.tier ?? '',
    queue: queueOf(record.class as JobClass),
    epoch: Number(record.epoch),
    owner: record.owner ?? '',
    createdAt: Number(record.created_at),
    resultTtlMs,
    idempotencyKey: record.idempotency_key,
    replicaId: record.bound,
    webhookEvents: record.webhook_events?.split(' ') ?? [],
    formerTier: record.rerouted ? (JSON.parse(record.rerouted) as Rerouted).from : null,
    requestHash: record.request_hash,
    // No longer than the job that it names.
    answerTtlMs: Math.min(Number(record.answer_ttl_ms), resultTtlMs),
    quotaKey: record.quota_key,
    promptTokens: Number(record.quota_prompt),
    line: record.batch === null ? null : (JSON.parse(record.batch) as BatchLineRef),
  };
}

function recordOf<Name extends string>(
  names: readonly Name[],
  values: readonly (string | null)[],
): Record<Name, string | null> {
  const entries = names.map((name, at) => [name, values[at] ?? null]);
  return Object.fromEntries(entries) as Record<Name, string | null>;
}
