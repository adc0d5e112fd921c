/** What a webhook tells of a job that has ended: never its request or its result. */
import { isTerminalState, jobEventSchema, jobRecordSchema } from '@qarr/router-core';
import type { JobRecord } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import type { Keys } from './keys.ts';
import { webhookId } from './webhook-queue.ts';
import { redisNow } from './workers.ts';

export type EndedJob = Pick<
  JobRecord,
  'id' | 'state' | 'tier' | 'metadata' | 'createdAt' | 'finishedAt'
> & {
  readonly kind: 'job';
  /** The same for every delivery of this end. */
  readonly eventId: string;
  readonly url: string;
  /** Why it did not complete; null where it did, or where somebody cancelled it. */
  readonly errorCode: string | null;
};

export interface EndReading<Ended> {
  /** Null when the record is gone: deleted, or kept long enough. */
  readonly ended: Ended | null;
  /** How much longer the record is kept, in milliseconds. */
  readonly keptMs: number;
  /** Redis's clock, in milliseconds. */
  readonly now: number;
}

const endedJobSchema = jobRecordSchema.pick({
  id: true,
  state: true,
  tier: true,
  metadata: true,
  createdAt: true,
  finishedAt: true,
});

const FIELDS = [
  'id',
  'state',
  'tier',
  'metadata',
  'created_at',
  'finished_at',
  'final',
  'webhook_url',
] as const;

/** Throws when the hash is not a record. */
export async function readEndedJob({
  redis,
  keys,
  jobId,
}: {
  redis: RedisClient;
  keys: Keys;
  jobId: string;
}): Promise<EndReading<EndedJob>> {
  const key = keys.job(jobId);
  const [now, keptMs, fields] = await Promise.all([
    redisNow(redis),
    redis.pttl(key),
    redis.hmget(key, ...FIELDS),
  ]);
  const [id, state, tier, metadata, createdAt, finishedAt, final, url] = fields;
  if (!id || !url) return { ended: null, keptMs, now };
  const job = endedJobSchema.parse({
    id,
    state,
    tier,
    metadata: JSON.parse(metadata ?? '{}'),
    createdAt: Number(createdAt),
    finishedAt: finishedAt ? Number(finishedAt) : null,
  });
  return {
    ended: { ...job, kind: 'job', eventId: webhookId(id), url, errorCode: errorCodeOf(final) },
    keptMs,
    now,
  };
}

function errorCodeOf(final: string | null | undefined): string | null {
  if (!final) return null;
  const event = jobEventSchema.parse(JSON.parse(final));
  return isTerminalState(event.type as JobRecord['state']) && 'error' in event
    ? event.error.code
    : null;
}
