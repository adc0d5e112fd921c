/**
 * What is left to do beside a job's own keys once it has ended, or was deleted.
 *
 * It stays in the index of open jobs until all of that is done, so that the sweep does it again
 * where a process died in the middle: each step may be done twice.
 */
import { isTerminalState } from '@qarr/router-core';
import type { BatchLineRef, JobClass, JobState, Rerouted, TerminalState } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { LINE_KEPT_MS } from './batch-lines.ts';
import type { BatchLines } from './batch-lines.ts';
import { markWritten } from './idempotency.ts';
import { queueOf } from './keys.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';
import { tokensUsed } from './quota.ts';
import type { Quotas } from './quota.ts';
import { DEFAULT_RETENTION } from './retention.ts';
import { runScript } from './scripts.ts';
import type { WebhookQueue } from './webhook-queue.ts';

const FIELDS = [
  'state',
  'deleted',
  'tier',
  'class',
  'epoch',
  'owner',
  'created_at',
  'finished_at',
  'result_ttl_ms',
  'idempotency_key',
  'bound',
  'webhook_events',
  'request_hash',
  'answer_ttl_ms',
  'rerouted',
  'quota_key',
  'quota_prompt',
  'attempt',
  'tokens_made',
  'batch',
] as const;
type Field = (typeof FIELDS)[number];

export interface Closing {
  /**
   * Nothing where the job has not ended; of one that is gone, only the indexes are tidied up.
   * Returns true when nothing is left to do.
   */
  close(jobId: string): Promise<boolean>;
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
  lines: Pick<BatchLines, 'ended'>;
  /** Null for a worker, which holds the entry itself and gives it up next. */
  queues: Queues | null;
  ledger: Pick<Ledger, 'leave'>;
  quotas: Pick<Quotas, 'leave'>;
  webhooks: Pick<WebhookQueue, 'add' | 'remove'>;
}): Closing {
  async function read(jobId: string) {
    const [values, openSince] = await Promise.all([
      redis.hmget(keys.job(jobId), ...FIELDS),
      redis.zscore(keys.open, jobId),
    ]);
    const entries = FIELDS.map((name, at) => [name, values[at] ?? null]);
    const record = Object.fromEntries(entries) as Record<Field, string | null>;
    const resultTtlMs = Number(record.result_ttl_ms ?? DEFAULT_RETENTION.resultMs);
    const { rerouted, tokens_made: tokensMade } = record;
    return {
      jobId,
      state: record.state as JobState | null,
      deleted: record.deleted,
      tier: record.tier ?? '',
      queue: queueOf(record.class as JobClass),
      epoch: Number(record.epoch),
      owner: record.owner ?? '',
      createdAt: Number(record.created_at),
      keptUntil: Number(record.finished_at) + resultTtlMs,
      idempotencyKey: record.idempotency_key,
      replicaId: record.bound,
      webhookEvents: record.webhook_events?.split(' ') ?? [],
      formerTier: rerouted ? (JSON.parse(rerouted) as Rerouted).from : null,
      requestHash: record.request_hash,
      // No longer than the job that it names.
      answerTtlMs: Math.min(Number(record.answer_ttl_ms), resultTtlMs),
      quotaKey: record.quota_key,
      promptTokens: Number(record.quota_prompt),
      attempt: Number(record.attempt),
      // A word in place of a number says that nobody knows.
      tokensMade: tokensMade !== null && /^\d+$/.test(tokensMade) ? Number(tokensMade) : null,
      line: record.batch === null ? null : (JSON.parse(record.batch) as BatchLineRef),
      isOpen: openSince !== null,
    };
  }
  type Job = Awaited<ReturnType<typeof read>>;

  /** What its API key has for other jobs again. */
  async function settleQuota(job: Job): Promise<void> {
    const { jobId, quotaKey } = job;
    if (quotaKey === null) return;
    const final = await redis.hget(keys.job(jobId), 'final');
    await quotas.leave(quotaKey, jobId, tokensUsed({ ...job, final }));
  }

  async function closeEnded(job: Job & { state: TerminalState }): Promise<boolean> {
    // First, as a Redis that is full refuses some of what follows.
    if (job.tier !== '') await ledger.leave(job.tier, job.jobId);
    await settleQuota(job);
    if (job.line === null) await index.ended(job);
    else await lines.ended(job.line);
    const { jobId, owner, idempotencyKey: key } = job;
    // Whoever submitted it may have died before: without this its key could make it once more.
    if (key !== null) await markWritten({ redis, keys }, { owner, key, jobId });
    if (job.replicaId !== null) await redis.srem(keys.bound(job.replicaId), jobId);
    if (job.requestHash !== null && job.state === 'completed') {
      await redis.set(keys.answer(job.tier, job.requestHash), jobId, 'PX', job.answerTtlMs);
    }
    if (job.webhookEvents.includes(job.state)) await webhooks.add(jobId);
    // A tier that this process does not know is for one that does.
    const isOut = queues?.has(job.tier) ? await queues.remove(job.tier, job) : true;
    if (isOut) await leaveIndexes(job.jobId);
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
    await settleQuota(job);
    // Also where it was before: of a process that died while it moved the job, something is left there.
    for (const tier of [job.tier, job.formerTier]) if (tier) await ledger.leave(tier, job.jobId);
    if (queues === null || !(await eraseEntries(job, queues))) return false;
    // Its line would be fed once more by a runner that did not know of this.
    const buried = isAwaited ? LINE_KEPT_MS : '';
    await runScript(redis, 'bury', { keys: [keys.job(job.jobId)], args: [buried] });
    await leaveIndexes(job.jobId);
    return true;
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
    async close(jobId) {
      const job = await read(jobId);
      const { state } = job;
      if (job.deleted !== null) return closeDeleted(job);
      if (state !== null && !isTerminalState(state)) return false;
      if (state !== null && job.isOpen) return closeEnded({ ...job, state });
      // Gone, or closed before: nothing is done once more, such as to announce the end.
      await leaveIndexes(jobId);
      return state !== null || !(await enterAgain(jobId));
    },
  };
}
