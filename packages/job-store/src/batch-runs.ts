/**
 * Batches as their runner sees them. One runner at a time has the lease; each write that it makes for
 * a batch passes the epoch of its lease, and is refused once a later one has opened the batch.
 */
import type { BatchError, BatchRecord, BatchUsage, JobRecord, Segment } from '@qarr/router-core';

export interface RunnerLease {
  /** Greater than that of every lease before. */
  readonly epoch: number;
  /** By Redis's clock, in milliseconds: nothing may be written for it from then on. */
  readonly validUntil: number;
}

/** A batch as a runner takes it up. */
export interface OpenedBatch {
  readonly record: BatchRecord;
  /** Its time was up before all its lines had an outcome. */
  readonly isExpiring: boolean;
  /** A bit for each line that has a durable outcome, the first in the highest bit of byte 0. */
  readonly done: Uint8Array;
  /** By tier: the lines before this one have been fed, or have an outcome. */
  readonly cursors: Readonly<Record<string, number>>;
  readonly segments: readonly Segment[];
}

export interface Commit {
  readonly segment: Segment;
  /** Each must be without a durable outcome: it is refused as a whole where one has it. */
  readonly lines: readonly number[];
  /** Of those lines, the completed ones. */
  readonly usage: BatchUsage;
  readonly cursors: Readonly<Record<string, number>>;
}

/** `fenced`: a later runner has the batch. `gone`: it was removed. */
export type BatchWrite = 'ok' | 'fenced' | 'gone';

export interface BatchRuns {
  /** Takes the lease, or renews it. Null where another runner has it. */
  lease(runnerId: string): Promise<RunnerLease | null>;
  /** Gives it up, so that another runner needs not wait. */
  release(runnerId: string): Promise<void>;
  /** Ids of the batches that are not over, the one that expires first before the others. */
  unfinished(limit: number): Promise<string[]>;
  /** Makes this epoch the batch's. */
  open(batchId: string, epoch: number): Promise<OpenedBatch | 'fenced' | 'gone'>;
  /** How it stands, for a runner that has opened it: is it being cancelled? */
  get(batchId: string): Promise<BatchRecord | null>;
  validated(
    batchId: string,
    epoch: number,
    found: { total: number; model: string | null } | { errors: readonly BatchError[] },
  ): Promise<BatchWrite>;
  /** Its time is up. */
  expire(batchId: string, epoch: number): Promise<BatchWrite>;
  /** The jobs of lines that have ended and are not committed; those of deleted jobs are null. */
  ended(
    batchId: string,
    options: { limit: number; except: ReadonlySet<number> },
  ): Promise<{ line: number; job: JobRecord | null }[]>;
  /** 'conflict': one of the lines has an outcome already; nothing was written. */
  commit(batchId: string, epoch: number, commit: Commit): Promise<BatchWrite | 'conflict'>;
  /** Removes the jobs of committed lines: their outcomes are in the files. */
  forget(batchId: string, lines: readonly number[]): Promise<void>;
  /** Every line has its outcome. */
  finalizing(batchId: string, epoch: number): Promise<BatchWrite>;
  /** The files are durable: to `completed`, `expired` or `cancelled`, whichever it is. */
  finish(
    batchId: string,
    epoch: number,
    files: { outputFileId: string | null; errorFileId: string | null },
  ): Promise<BatchWrite>;
}
