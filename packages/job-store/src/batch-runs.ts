/**
 * Batches as their runner sees them. One runner at a time has the lease; each write that it makes for
 * a batch passes the epoch of its lease, and is refused once a later one has opened the batch.
 */
import { isBatchOver, isTerminalState, lineJobId } from '@qarr/router-core';
import type { BatchError, BatchRecord, BatchUsage, JobRecord, Segment } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { answered } from './answered.ts';
import { parseBatch, parseSegment } from './batch-fields.ts';
import type { BatchIndex, BatchUrgency } from './batch-index.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Keys } from './keys.ts';
import { parseRecord } from './record.ts';
import { runScript } from './scripts.ts';
import type { ScriptName } from './scripts.ts';
import type { WebhookQueue } from './webhook-queue.ts';
import { redisNow } from './workers.ts';

/** Some renewals may fail before another runner takes over. */
const LEASE_MS = 10_000;
/** Records read at once; of all that are read in one go, so many bytes, and the last page. */
const ENDED_PAGE = 50;
const ENDED_BYTES_MAX = 8_000_000;

export interface RunnerLease {
  /** Greater than that of every lease before. It stays the same while the lease is renewed. */
  readonly epoch: number;
  /** By Redis's clock, in milliseconds: nothing may be written for it from then on. */
  readonly validUntil: number;
  /** Redis's clock as it was given. */
  readonly now: number;
}

/** A batch as a runner takes it up. */
export interface OpenedBatch {
  readonly record: BatchRecord;
  /** Its time was up before all its lines had an outcome. */
  readonly isExpiring: boolean;
  /** A bit for each line that has a durable outcome, the first in the highest bit of byte 0. */
  readonly done: Uint8Array;
  readonly segments: readonly Segment[];
}

export interface Commit {
  readonly segment: Segment;
  /**
   * Each must be without a durable outcome: it is refused as a whole where one has it. Some thousand at
   * most, as Redis does nothing else meanwhile.
   */
  readonly lines: readonly number[];
  /** Of those lines, the completed ones. */
  readonly usage: BatchUsage;
}

/**
 * `fenced`: it is not this runner that has opened the batch last. `gone`: it was removed. Each write
 * may be sent again where its outcome is not known.
 */
export type BatchWrite = 'ok' | 'fenced' | 'gone';

export interface BatchRuns {
  /**
   * Takes the lease, or renews it. Null where another runner has it. `runnerId`: of one life of one
   * process, as a renewed lease keeps its epoch.
   */
  lease(runnerId: string): Promise<RunnerLease | null>;
  /** Gives it up, so that another runner needs not wait. */
  release(runnerId: string): Promise<void>;
  /**
   * Ids of the batches that are not over, the one that expires first before the others; `from`: so
   * many are passed over.
   */
  unfinished(limit: number, from?: number): Promise<string[]>;
  /** What says how urgent each is, in their order; null where there is no such batch. */
  urgencies(batchIds: readonly string[]): Promise<(BatchUrgency | null)[]>;
  /** Makes this epoch the batch's. One that is over leaves the list of those that are not. */
  open(batchId: string, epoch: number): Promise<OpenedBatch | 'fenced' | 'gone'>;
  /** How it stands, for a runner that has opened it: is it being cancelled? */
  get(batchId: string): Promise<BatchRecord | null>;
  /**
   * To `in_progress` or `failed`; a batch that is being cancelled stays that. 'conflict': something
   * else has been found before.
   */
  validated(
    batchId: string,
    epoch: number,
    found: { total: number; model: string | null } | { errors: readonly BatchError[] },
  ): Promise<BatchWrite | 'conflict'>;
  /** Its time is up, unless all its lines have an outcome. */
  expire(batchId: string, epoch: number): Promise<BatchWrite>;
  /**
   * The jobs of lines that have ended and are not committed, in no order; those of deleted jobs are
   * null. Fewer than `limit` where they are large.
   */
  ended(
    batchId: string,
    options: { limit: number; except: ReadonlySet<number> },
  ): Promise<{ line: number; job: JobRecord | null }[]>;
  /**
   * 'conflict': one of the lines has an outcome already, or is none of the batch; nothing was written.
   * The last commit may be sent again, so one of a batch has to wait for the one before.
   */
  commit(batchId: string, epoch: number, commit: Commit): Promise<BatchWrite | 'conflict'>;
  /** Removes the jobs of committed lines: their outcomes are in the files. */
  forget(batchId: string, lines: readonly number[]): Promise<void>;
  /**
   * Every line has its outcome. A batch that is being cancelled stays that. 'conflict': a line has none,
   * or the batch is not validated.
   */
  finalizing(batchId: string, epoch: number): Promise<BatchWrite | 'conflict'>;
  /**
   * The files are durable: to `completed`, `expired` or `cancelled`, whichever it is; to `failed` where
   * `errors` say what they lack. 'conflict': it is neither being finalized nor cancelled, or a line has
   * no outcome.
   */
  finish(
    batchId: string,
    epoch: number,
    files: {
      outputFileId: string | null;
      errorFileId: string | null;
      errors?: readonly BatchError[];
    },
  ): Promise<BatchWrite | 'conflict'>;
  /** Ids of batches that have been over for so long, and that may have left something in the file store. */
  leftovers(options: { overForMs: number; limit: number }): Promise<string[]>;
  /** It has left nothing. */
  cleared(batchId: string): Promise<void>;
}

export function createBatchRuns({
  redis,
  keys,
  index,
  lines,
  webhooks,
  get,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  index: Pick<BatchIndex, 'entered' | 'closed' | 'missing' | 'urgencies'>;
  lines: Pick<BatchLines, 'forget' | 'forgetAll'>;
  webhooks: Pick<WebhookQueue, 'add'>;
  get: (batchId: string) => Promise<BatchRecord | null>;
  onError: (error: Error) => void;
}): BatchRuns {
  async function write<Outcome extends string = BatchWrite>(
    name: ScriptName,
    batchId: string,
    args: readonly (string | number)[],
  ): Promise<Outcome> {
    return (await runScript(redis, name, { keys: keys.batch(batchId), args })) as Outcome;
  }

  /** Until all of this is done it is in the list of those that are not over: then it is done again. */
  async function close(batch: BatchRecord): Promise<void> {
    // Closed before: nothing is announced once more.
    if ((await redis.zscore(keys.batches, batch.id)) === null) return;
    await lines.forgetAll(batch.id);
    if (batch.webhookUrl !== null) await webhooks.add(batch.id);
    await redis.zadd(keys.batchesOver, await redisNow(redis), batch.id);
    await index.closed(batch);
  }

  async function closeIfOver(batchId: string): Promise<void> {
    const batch = await get(batchId);
    if (batch !== null && isBatchOver(batch.state)) await close(batch);
  }

  async function open(batchId: string, epoch: number): Promise<OpenedBatch | 'fenced' | 'gone'> {
    const outcome = await write('batch-open', batchId, [epoch]);
    if (outcome === 'gone') await index.missing(batchId);
    if (outcome !== 'ok') return outcome;
    const [recordKey, doneKey, segmentsKey] = keys.batch(batchId);
    const [hash, done, segments] = await Promise.all([
      redis.hgetall(recordKey),
      redis.getBuffer(doneKey),
      redis.lrange(segmentsKey, 0, -1),
    ]);
    const record = parseBatch(hash);
    if (record === null) return 'gone';
    if (isBatchOver(record.state)) await close(record);
    else {
      await lines.forgetAll(batchId);
      // A Redis that is full refuses it, and is made room in by what a runner does.
      await index.entered(record).catch(onError);
    }
    return {
      record,
      isExpiring: hash['expiring'] !== undefined,
      done: new Uint8Array(done ?? []),
      segments: segments.map(parseSegment),
    };
  }

  /** The lines that are in a set and not among these. */
  async function someEnded(
    batchId: string,
    { limit, except }: { limit: number; except: ReadonlySet<number> },
  ): Promise<number[]> {
    const found = new Set<number>();
    let cursor = '0';
    do {
      const page = await answered(redis.sscan(keys.batch(batchId)[4], cursor, 'COUNT', limit));
      for (const line of page[1].map(Number)) if (!except.has(line)) found.add(line);
      cursor = page[0];
    } while (cursor !== '0' && found.size < limit);
    return [...found].slice(0, limit);
  }

  async function readJobs(
    batchId: string,
    some: readonly number[],
  ): Promise<{ hashes: Record<string, string>[]; bytes: number }> {
    const pipeline = pipelineOf(redis);
    for (const line of some) pipeline.hgetall(keys.job(lineJobId(batchId, line)));
    let bytes = 0;
    const hashes = ((await pipeline.exec()) ?? []).map(([error, hash]) => {
      if (error !== null) throw error;
      const { request, result } = hash as Record<string, string>;
      bytes += (request?.length ?? 0) + (result?.length ?? 0);
      return hash as Record<string, string>;
    });
    return { hashes, bytes };
  }

  /** Null also for one that cannot be read, which must not keep the others from being collected. */
  function jobOf(hash: Record<string, string>): JobRecord | null {
    try {
      return parseRecord(hash);
    } catch (error) {
      onError(error as Error);
      return null;
    }
  }

  return {
    async lease(runnerId) {
      const call = { keys: [keys.runnerLease], args: [runnerId, LEASE_MS] };
      const given = await answered(runScript(redis, 'runner-lease', call));
      if (given === null) return null;
      const [epoch, validUntil, now] = given as [number, number, number];
      return { epoch, validUntil, now };
    },
    async release(runnerId) {
      const call = { keys: [keys.runnerLease], args: [runnerId, ''] };
      await answered(runScript(redis, 'runner-lease', call));
    },
    unfinished: (limit, from = 0) =>
      answered(redis.zrange(keys.batches, String(from), String(from + limit - 1))),
    urgencies: (batchIds) => answered(index.urgencies(batchIds)),
    open: (batchId, epoch) => answered(open(batchId, epoch)),
    get: (batchId) => answered(get(batchId)),
    async validated(batchId, epoch, found) {
      const args =
        'errors' in found
          ? [0, '', JSON.stringify(found.errors)]
          : [found.total, found.model ?? '', ''];
      const outcome = await answered(
        write<BatchWrite | 'conflict'>('batch-validated', batchId, [epoch, ...args]),
      );
      if (outcome === 'ok') await answered(closeIfOver(batchId));
      return outcome;
    },
    expire: (batchId, epoch) => answered(write('batch-expire', batchId, [epoch])),
    async ended(batchId, options) {
      const some = await someEnded(batchId, options);
      const found: { line: number; job: JobRecord | null }[] = [];
      let bytesRead = 0;
      for (let at = 0; at < some.length && bytesRead < ENDED_BYTES_MAX; at += ENDED_PAGE) {
        const page = some.slice(at, at + ENDED_PAGE);
        const { hashes, bytes } = await answered(readJobs(batchId, page));
        bytesRead += bytes;
        for (const [place, line] of page.entries()) {
          const job = jobOf(hashes[place] ?? {});
          // Not one that was made anew.
          if (job === null || isTerminalState(job.state)) found.push({ line, job });
        }
      }
      return found;
    },
    async commit(batchId, epoch, { segment, lines: committed, usage }) {
      const tokens = [
        usage.promptTokens,
        usage.cachedTokens,
        usage.completionTokens,
        usage.reasoningTokens,
      ];
      const counts = [segment.outputLines, segment.errorLines, ...tokens];
      const args = [epoch, JSON.stringify(segment), ...counts, ...committed];
      return answered(write('batch-commit', batchId, args));
    },
    // Each page of it is answered in time; all of them may take longer.
    forget: lines.forget,
    finalizing: (batchId, epoch) => answered(write('batch-finalizing', batchId, [epoch])),
    async finish(batchId, epoch, { outputFileId, errorFileId, errors = [] }) {
      const lost = errors.length === 0 ? '' : JSON.stringify(errors);
      const args = [epoch, outputFileId ?? '', errorFileId ?? '', lost];
      const outcome = await answered(write<BatchWrite | 'conflict'>('batch-finish', batchId, args));
      if (outcome === 'ok') await answered(closeIfOver(batchId));
      return outcome;
    },
    leftovers: ({ overForMs, limit }) =>
      answered(
        (async () => {
          const until = (await redisNow(redis)) - overForMs;
          return redis.zrangebyscore(keys.batchesOver, '-inf', until, 'LIMIT', 0, limit);
        })(),
      ),
    async cleared(batchId) {
      await answered(redis.zrem(keys.batchesOver, batchId));
    },
  };
}
