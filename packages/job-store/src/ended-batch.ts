/** What a webhook tells of a batch that is over: never its lines. */
import { isBatchOver } from '@qarr/router-core';
import type { BatchRecord } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { parseBatch } from './batch-fields.ts';
import type { EndReading } from './ended-job.ts';
import type { Keys } from './keys.ts';
import { webhookId } from './webhook-queue.ts';
import { redisNow } from './workers.ts';

export type EndedBatch = Pick<
  BatchRecord,
  'id' | 'state' | 'endpoint' | 'metadata' | 'total' | 'completed' | 'failed' | 'createdAt'
> & {
  readonly kind: 'batch';
  /** The same for every delivery of this end. */
  readonly eventId: string;
  readonly url: string;
  readonly finishedAt: number | null;
};

export function isBatchId(id: string): boolean {
  return id.startsWith('batch_');
}

/** Throws when the hash is not a record. */
export async function readEndedBatch({
  redis,
  keys,
  batchId,
}: {
  redis: RedisClient;
  keys: Keys;
  batchId: string;
}): Promise<EndReading<EndedBatch>> {
  const [key] = keys.batch(batchId);
  const [now, keptMs, hash] = await Promise.all([
    redisNow(redis),
    redis.pttl(key),
    redis.hgetall(key),
  ]);
  const batch = parseBatch(hash);
  const url = batch?.webhookUrl ?? null;
  if (batch === null || url === null || !isBatchOver(batch.state)) {
    return { ended: null, keptMs, now };
  }
  const { id, state, endpoint, metadata, total, completed, failed, createdAt } = batch;
  const finishedAt =
    batch.completedAt ?? batch.failedAt ?? batch.expiredAt ?? batch.cancelledAt ?? null;
  const said = { id, state, endpoint, metadata, total, completed, failed, createdAt, finishedAt };
  return { ended: { kind: 'batch', eventId: webhookId(id), url, ...said }, keptMs, now };
}
