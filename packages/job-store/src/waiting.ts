/** What waits in a tier and may be moved to another one, read in pages of the tier's fair order. */
import type { Fallback, JobClass, WaitingJob } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';

/** A job that waits in a tier, with all that moving it takes. */
export interface PlacedJob extends WaitingJob {
  readonly jobId: string;
  readonly owner: string;
  readonly tier: string;
  /** Of its queue entry. */
  readonly epoch: number;
  readonly attempt: number;
  readonly requestId: string | null;
  readonly traceparent: string | null;
}

interface WaitingPage {
  /** Those of the page that may be moved at all. */
  readonly jobs: readonly PlacedJob[];
  /** Where the next page begins; null where nothing is left that could be moved. */
  readonly next: number | null;
}

export type ReadWaiting = (
  tier: string,
  range: { from: number; count: number },
) => Promise<WaitingPage>;

const FIELDS = [
  'state',
  'tier',
  'epoch',
  'owner',
  'class',
  'cost',
  'fallback',
  'fits',
  'rerouted',
  'streamed',
  'deaths',
  'attempt',
  'queue_deadline',
  'started_at',
  'run_timeout_ms',
  'request_id',
  'traceparent',
] as const;

export function createReadWaiting({
  redis,
  keys,
}: {
  redis: RedisClient;
  keys: Keys;
}): ReadWaiting {
  return async (tier, { from, count }) => {
    const [, order] = keys.ledger(tier);
    const jobIds = await redis.zrange(order, String(from), String(from + count - 1));
    if (jobIds.length === 0) return { jobs: [], next: null };
    const pipeline = pipelineOf(redis).time();
    for (const jobId of jobIds) pipeline.hmget(keys.job(jobId), ...FIELDS);
    const [time, ...replies] = ((await pipeline.exec()) ?? []).map(([error, reply]) => {
      if (error !== null) throw error;
      return reply as (string | null)[];
    });
    const now = Number(time?.[0]) * 1_000 + Math.floor(Number(time?.[1]) / 1_000);
    const found = jobIds.map((jobId, at) => ({ jobId, values: replies[at] ?? [] }));
    // They are the last in the order.
    const hasBatch = found.some(({ values }) => values[FIELDS.indexOf('class')] === 'batch');
    return {
      jobs: found.flatMap(
        ({ jobId, values }, at) =>
          placedJob({ jobId, tier, jobsAhead: from + at, now, values }) ?? [],
      ),
      next: hasBatch || jobIds.length < count ? null : from + count,
    };
  };
}

/** Null for one that cannot be moved: what `move.lua` would refuse, and batches, which have time. */
function placedJob({
  jobId,
  tier,
  jobsAhead,
  now,
  values,
}: {
  jobId: string;
  tier: string;
  jobsAhead: number;
  now: number;
  values: readonly (string | null)[];
}): PlacedJob | null {
  const [state, current, epoch, owner, jobClass, cost, fallback, fits, rerouted, ...rest] = values;
  const [streamed, deaths, attempt, queueDeadline, startedAt, runTimeoutMs, ...told] = rest;
  const [requestId, traceparent] = told;
  if (state !== 'queued' || current !== tier || jobClass === 'batch') return null;
  // A record of before it was known which tiers it fits has none.
  if (rerouted || fallback === 'none' || !fits) return null;
  if (streamed === '1' || streamed === '2' || deaths !== '0') return null;
  const due = attempt === '0' ? Number(queueDeadline) : Number(startedAt) + Number(runTimeoutMs);
  return {
    jobId,
    tier,
    epoch: Number(epoch),
    attempt: Number(attempt),
    requestId: requestId || null,
    traceparent: traceparent || null,
    owner: owner ?? '',
    class: jobClass as JobClass,
    tokens: Number(cost ?? 1),
    fallback: fallback as Fallback,
    fits: JSON.parse(fits) as string[],
    leftMs: due - now,
    jobsAhead,
  };
}
