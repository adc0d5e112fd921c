/**
 * Which batches there are: of an owner, and of all those that are not over.
 *
 * A batch is entered before its record is written, as one that no index knew would never run. An entry
 * without a record, of a process that died between the two, is tidied up by whoever comes across it;
 * its score is the time at which it was entered, so that a new one is left alone.
 */
import { isBatchOver } from '@qarr/router-core';
import type { BatchRecord, NewBatch } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { parseBatch } from './batch-fields.ts';
import type { Keys } from './keys.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

/** Longer than a record may be written after its entries. */
const NEW_FOR_MS = 10_000;
/** Between the end of a batch's time and that of its work there may be so much. */
const LATE_MS = 7 * 24 * 3_600_000;
/** Records read at once. */
const PAGE = 50;

/** What says which batch comes before which. */
export type BatchUrgency = Pick<BatchRecord, 'owner' | 'state' | 'expiresAt'>;

export interface BatchIndex {
  /** Null where its owner has too many that are not over. Returns Redis's clock. */
  enter(batch: NewBatch, openMax: number): Promise<number | null>;
  /** It is written, and not over. What was tidied up meanwhile is put back. */
  entered(batch: BatchRecord): Promise<void>;
  /** It is over. */
  closed(batch: Pick<BatchRecord, 'id' | 'owner' | 'createdAt' | 'outputKeptMs'>): Promise<void>;
  /** There is no such batch: not any more, or not yet. */
  missing(batchId: string): Promise<void>;
  /** In the order of the ids; null where there is no such batch. */
  urgencies(batchIds: readonly string[]): Promise<(BatchUrgency | null)[]>;
  /** Those of an owner that are not over. */
  open(owner: string): Promise<BatchRecord[]>;
  list(options: {
    owner: string;
    limit: number;
    after: string | null;
  }): Promise<{ batches: BatchRecord[]; hasMore: boolean }>;
}

export function createBatchIndex({ redis, keys }: { redis: RedisClient; keys: Keys }): BatchIndex {
  async function read(ids: readonly string[]): Promise<(BatchRecord | null)[]> {
    const pipeline = pipelineOf(redis);
    for (const id of ids) pipeline.hgetall(keys.batch(id)[0]);
    const replies = (await pipeline.exec()) ?? [];
    return replies.map(([error, hash]) => {
      if (error !== null) throw error;
      return parseBatch(hash as Record<string, string>);
    });
  }

  async function enterOwner(
    { id, owner }: Pick<NewBatch, 'id' | 'owner'>,
    args: [createdAt: number | '', openMax: number | '', keptMs: number],
  ): Promise<[isIn: number, now: number]> {
    const call = { keys: keys.batchesOf(owner), args: [id, ...args] };
    return (await runScript(redis, 'owner-batch', call)) as [number, number];
  }

  /** Forgets what is over, and what was never written. */
  async function open(owner: string): Promise<BatchRecord[]> {
    const name = keys.batchesOf(owner)[1];
    const ids = await redis.zrange(name, '0', '-1');
    const records: BatchRecord[] = [];
    const over: string[] = [];
    const gone: string[] = [];
    for (let at = 0; at < ids.length; at += PAGE) {
      const page = ids.slice(at, at + PAGE);
      for (const [index, record] of (await read(page)).entries()) {
        const id = page[index] ?? '';
        if (record === null) gone.push(id);
        else if (isBatchOver(record.state)) over.push(id);
        else records.push(record);
      }
    }
    if (over.length > 0) await redis.zrem(name, ...over);
    if (gone.length > 0) await dropOld(name, gone);
    return records;
  }

  async function dropOld(name: string, ids: readonly string[]): Promise<void> {
    const [now, scores] = await Promise.all([redisNow(redis), redis.zmscore(name, ...ids)]);
    const old = ids.filter((_, at) => Number(scores[at] ?? now) <= now - NEW_FOR_MS);
    if (old.length > 0) await redis.zrem(name, ...old);
  }

  return {
    async enter(batch, openMax) {
      const args = ['', openMax, keptMs(batch)] as const;
      let [isIn, now] = await enterOwner(batch, [...args]);
      if (isIn === 0) {
        // Some of them may only seem to be open, after a crash.
        await open(batch.owner);
        [isIn, now] = await enterOwner(batch, [...args]);
      }
      if (isIn === 0) return null;
      await redis.zadd(keys.batches, 'GT', now, batch.id);
      return now;
    },
    async entered(batch) {
      const args = [batch.createdAt, Number.MAX_SAFE_INTEGER, keptMs(batch)] as const;
      await Promise.all([
        enterOwner(batch, [...args]),
        redis.zadd(keys.batches, 'GT', batch.expiresAt, batch.id),
      ]);
    },
    async closed({ id, owner, createdAt, outputKeptMs }) {
      await enterOwner({ id, owner }, [createdAt, '', outputKeptMs]);
      await redis.zrem(keys.batches, id);
    },
    missing: (batchId) => dropOld(keys.batches, [batchId]),
    async urgencies(batchIds) {
      const found: (BatchUrgency | null)[] = [];
      for (let at = 0; at < batchIds.length; at += PAGE) {
        found.push(...(await read(batchIds.slice(at, at + PAGE))));
      }
      const gone = batchIds.filter((_, at) => found[at] === null);
      if (gone.length > 0) await dropOld(keys.batches, gone);
      return found;
    },
    open,
    async list({ owner, limit, after }) {
      const [all] = keys.batchesOf(owner);
      const rank = after === null ? -1 : await redis.zrevrank(all, after);
      const batches: BatchRecord[] = [];
      const gone: string[] = [];
      let from = (rank ?? Infinity) + 1;
      while (Number.isFinite(from) && batches.length <= limit) {
        const ids = await redis.zrevrange(all, from, from + limit);
        for (const [at, record] of (await read(ids)).entries()) {
          if (record === null) gone.push(ids[at] ?? '');
          else batches.push(record);
        }
        from = ids.length <= limit ? Infinity : from + ids.length;
      }
      if (gone.length > 0) await dropOld(all, gone);
      return { batches: batches.slice(0, limit), hasMore: batches.length > limit };
    },
  };
}

function keptMs({ windowMs, outputKeptMs }: Pick<NewBatch, 'windowMs' | 'outputKeptMs'>): number {
  return windowMs + LATE_MS + outputKeptMs;
}
