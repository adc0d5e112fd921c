/** Batches as a server sees them: make one, look it up, list, cancel. */
import { QarrError, isBatchOver } from '@qarr/router-core';
import type { BatchRecord, NewBatch, Segment } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import { newBatchFields, parseBatch, parseSegment } from './batch-fields.ts';
import type { BatchIndex } from './batch-index.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Keys } from './keys.ts';
import { runScript } from './scripts.ts';

export type BatchCreation =
  | { readonly kind: 'created'; readonly batch: BatchRecord }
  /** The request was sent before, with the same idempotency key. */
  | { readonly kind: 'known'; readonly batch: BatchRecord }
  | { readonly kind: 'too_many' }
  | { readonly kind: 'key_reused' };

export interface BatchRecords {
  /**
   * Writing it again with the same id is safe. `openMax`: of an owner's batches that are not over;
   * `bodyHash`: of the request, where it has an idempotency key (which then makes the id).
   */
  create(
    batch: NewBatch,
    options: { openMax: number; bodyHash?: string | undefined },
  ): Promise<BatchCreation>;
  get(batchId: string): Promise<BatchRecord | null>;
  /**
   * Newest first; `after`: the id of the last one of the page before. Nothing follows one that is
   * unknown.
   */
  list(options: {
    owner: string;
    limit: number;
    after: string | null;
  }): Promise<{ batches: BatchRecord[]; hasMore: boolean }>;
  /** Of an owner, not over. */
  open(owner: string): Promise<BatchRecord[]>;
  /** To `cancelling`, unless it is over. Returns it as it is then; null where there is none. */
  cancel(batchId: string): Promise<BatchRecord | null>;
  /** In the order in which they were made durable. */
  segments(batchId: string): Promise<Segment[]>;
  /** Lines whose jobs are in the system: waiting, running, or ended and not yet collected. */
  linesInSystem(batchId: string): Promise<number[]>;
}

export function createBatchRecords({
  redis,
  keys,
  index,
  lines,
  createWithinMs,
}: {
  redis: RedisClient;
  keys: Keys;
  index: BatchIndex;
  lines: Pick<BatchLines, 'inSystem'>;
  /** A record is written within so long of the beginning, or not at all. */
  createWithinMs: number;
}): BatchRecords {
  async function get(batchId: string): Promise<BatchRecord | null> {
    return parseBatch(await redis.hgetall(keys.batch(batchId)[0]));
  }

  async function find(
    batchId: string,
    bodyHash: string | undefined,
  ): Promise<BatchCreation | null> {
    const hash = await redis.hgetall(keys.batch(batchId)[0]);
    const batch = parseBatch(hash);
    if (batch === null) return null;
    if (bodyHash !== undefined && hash['body_hash'] !== bodyHash) return { kind: 'key_reused' };
    // Whoever has written it may have died before it did this.
    if (!isBatchOver(batch.state)) await index.entered(batch);
    return { kind: 'known', batch };
  }

  return {
    async create(batch, { openMax, bodyHash }) {
      const known = await find(batch.id, bodyHash);
      if (known !== null) return known;
      const now = await index.enter(batch, openMax);
      if (now === null) return { kind: 'too_many' };
      const outcome = await runScript(redis, 'batch-create', {
        keys: keys.batch(batch.id),
        args: [now + createWithinMs, batch.windowMs, ...newBatchFields(batch, bodyHash)],
      });
      const written = outcome === 'late' ? null : await find(batch.id, bodyHash);
      // Its entries are tidied up in time.
      if (written === null) throw new QarrError('queue_unavailable');
      const isNew = outcome === 'created' && written.kind === 'known';
      return isNew ? { ...written, kind: 'created' } : written;
    },
    get,
    list: index.list,
    open: index.open,
    async cancel(batchId) {
      await runScript(redis, 'batch-cancel', { keys: keys.batch(batchId), args: [] });
      return get(batchId);
    },
    async segments(batchId) {
      const found = await redis.lrange(keys.batch(batchId)[2], 0, -1);
      return found.map(parseSegment);
    },
    linesInSystem: lines.inSystem,
  };
}
