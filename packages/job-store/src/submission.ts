/** What is asked of a submission, and what may become of it. */
import type { EntryLimits, JobRecord, QueuePlace, TierPace } from '@qarr/router-core';
import type { Found, Full } from './ledger.ts';
import type { OverQuota, TokenBudget } from './quota.ts';

/** The place that a job asks for. */
export interface Placement {
  /** What it is expected to cost, in generated tokens. */
  readonly tokens: number;
  readonly limits: EntryLimits;
  /** Of its tier: with what is found there, it tells the client how long the job may wait. */
  readonly pace: TierPace;
  readonly onCreated?: OnCreated | undefined;
}

/**
 * A job is there that was not, and will run, whatever becomes of the call that has made it: what
 * follows may fail, or be too late for whoever waits.
 */
export type OnCreated = (jobId: string) => void;

export type Submission =
  | {
      readonly kind: 'created';
      readonly jobId: string;
      readonly place: QueuePlace;
      /** What was before it in its tier; not of one that is answered already. */
      readonly found?: Found;
      /** What is left to its API key; null where that has no limits. */
      readonly budget?: TokenBudget | null;
    }
  /** A limit of its tier is against it. Nothing was written. */
  | ({ readonly kind: 'full'; readonly why: Full } & Found)
  /** A limit of its API key is. */
  | { readonly kind: 'over_quota'; readonly why: OverQuota; readonly budget: TokenBudget }
  | KnownSubmission;

/** A request that makes no job. */
export type KnownSubmission =
  /** The job was there already. */
  | { readonly kind: 'attached'; readonly record: JobRecord }
  | {
      readonly kind: 'refused';
      readonly code: 'idempotency_key_reused' | 'idempotent_job_gone';
    };

/** Nothing was against it. */
export type Accepted = Exclude<Submission, { kind: 'full' | 'over_quota' }>;

/** What became of a request, before its key is marked. */
export interface Unmarked<Result> {
  readonly submission: Result;
  /** To be called once it is certain that the job is there to stay: it must never be written anew. */
  mark(): Promise<void>;
}
