/**
 * The job store as a server sees it: submit, look up, list, follow, cancel, delete, and mend what a
 * crash left.
 * It fails fast: a call that Redis does not answer in time throws `queue_unavailable`.
 */
import type { CachedAnswer, IdempotencyKey, NewJob, TierStatus } from '@qarr/router-core';
import type { Backlog } from './backlog.ts';
import type { ApiKeys } from './api-keys.ts';
import type { BatchRecords } from './batch-records.ts';
import type { BatchRuns } from './batch-runs.ts';
import type { Cancel } from './cancel.ts';
import type { FileRecords } from './file-records.ts';
import type { Followers } from './followers.ts';
import type { Move } from './move.ts';
import type { Listing } from './listing.ts';
import type { LookUp } from './look-up.ts';
import type { RedisMemory } from './memory-guard.ts';
import type { Quotas } from './quota.ts';
import type { RedisProblems } from './redis-check.ts';
import type { Accepted, KnownSubmission, OnCreated, Placement, Submission } from './submission.ts';
import type { ReadWaiting } from './waiting.ts';

export interface ProducerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  /** Rejects where Redis does not serve: of a cluster, each of its masters. */
  ping(): Promise<void>;
  /**
   * Writes the job, then its queue entry. Calling it again with the same id, or with another one and
   * the same idempotency key, is safe.
   */
  submit(job: NewJob, placement: Placement): Promise<Submission>;
  /** Writes a job that has its answer already: it waits for nothing, and no engine runs it. */
  submitAnswered(job: NewJob, answer: CachedAnswer, onCreated?: OnCreated): Promise<Accepted>;
  findAnswer: LookUp['findAnswer'];
  /** What an idempotency key stands for; null where the job is still to be written. */
  findByKey(owner: string, key: IdempotencyKey): Promise<KnownSubmission | null>;
  get: LookUp['get'];
  findKey: ApiKeys['find'];
  getKey: ApiKeys['get'];
  countRequest: Quotas['count'];
  list: Listing['list'];
  follow: Followers['follow'];
  cancel: Cancel;
  /** Deletes the job and all that is known of it. Returns false where there is no such job. */
  delete(jobId: string): Promise<boolean>;
  status(tier: string): Promise<TierStatus>;
  placesOf: LookUp['placesOf'];
  /** What waits in a tier and may be moved to another one. */
  waitingIn: ReadWaiting;
  /** Moves a waiting job to another tier, which must not be done but by its client's consent. */
  move: Move;
  readonly batches: BatchRecords;
  /** For the runner of batches alone. */
  readonly batchRuns: BatchRuns;
  readonly files: FileRecords;
  backlog(): Promise<Backlog>;
  /** How full Redis is; null before it was asked. As of the last submission or sweep. */
  memory(): RedisMemory | null;
  /** How many ends of jobs are still to be announced. */
  webhookBacklog(): Promise<number>;
  /**
   * Ends what is due, mends what a crash has left, and cancels what was bound to replicas that are
   * gone.
   */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}
