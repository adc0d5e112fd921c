/**
 * Writing a job that asks for a place: as one step on one server, step by step on a cluster, whose
 * slots are written one by one.
 */
import type { JobClass, JobRecord, JobState, NewJob, QueuePlace } from '@qarr/router-core';
import type { Found, LedgerEntry } from './ledger.ts';
import type { TokenBudget } from './quota.ts';
import type { Placement, Submission } from './submission.ts';

export interface JobWriting {
  /** Writes it under its limits: its place, its indexes, and its record with its first events. */
  write(job: NewJob, options: WriteOptions): Promise<Wrote>;
}

interface WriteOptions {
  readonly placement: Placement;
  /** Of its record. */
  readonly fields: readonly string[];
  /** Who holds what is taken of the limits of its key: unique to the submission. */
  readonly writer: string;
}

export type Wrote =
  | (Submission & { kind: 'full' | 'over_quota' })
  | (Written & {
      readonly kind: 'written';
      readonly found: Found;
      readonly budget: TokenBudget | null;
    });

/** Where nothing was against it, though it may be that somebody else has written it. */
export interface Written {
  readonly created: CreateReply;
  /** Its index knew it: of a try before. */
  readonly isRetried: boolean;
  /** It is in the list of its owner, if it is in one. */
  readonly isListed: boolean;
  /** By Redis's clock. */
  readonly now: number;
  readonly priority: number;
  readonly place: QueuePlace;
  /** The JSON of its first event. */
  readonly queued: string;
}

export type CreateReply =
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

/** What a ledger is told of a job. */
export function entryOfNew(job: NewJob, { tokens }: Placement): LedgerEntry {
  return {
    jobId: job.id,
    owner: job.owner,
    class: job.class,
    tokens,
    isFallback: job.rerouted !== undefined,
    startWithinMs: job.queueTimeoutMs,
  };
}

/** Of one that has a record. */
export function entryOfKnown(job: JobRecord): LedgerEntry {
  return {
    jobId: job.id,
    owner: job.owner,
    class: job.class,
    tokens: job.cost,
    isFallback: job.rerouted !== null,
    startWithinMs: job.queueDeadline - job.createdAt,
  };
}

/** The latest time at which a write that begins `now` may be done. */
export function latestWrite(
  { writeBefore = Infinity }: NewJob,
  { now, createWithinMs }: { now: number; createWithinMs: number },
): number {
  return Math.min(now + createWithinMs, writeBefore - 1);
}
