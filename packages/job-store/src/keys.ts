/**
 * Every name that QARR uses in Redis. Nothing else may spell one: Lua scripts get theirs through
 * KEYS and ARGV.
 *
 * The braces are Redis Cluster hash tags: all keys of one job live in one slot, and so do all keys
 * of one tier's queue, of one batch, and of one owner's batches.
 */
import type { FilePurpose, JobClass, TerminalState } from '@qarr/router-core';

/** A tier has two queues, so that its workers can tell how many of each they pull. */
export const QUEUE_KINDS = ['foreground', 'batch'] as const;
export type QueueKind = (typeof QUEUE_KINDS)[number];

export function queueOf(jobClass: JobClass): QueueKind {
  return jobClass === 'batch' ? 'batch' : 'foreground';
}

/** Requests that make jobs, and all others. */
export type RequestKind = 'submits' | 'reads';

/** An owner's files: all, or those of one purpose. */
export type FileList = FilePurpose | 'all';

export interface Keys {
  /** Hash: the record of a job. */
  job(jobId: string): string;
  /** Stream: the events of a job, with ids `0-<seq>`. */
  log(jobId: string): string;
  /** Name of a tier's BullMQ queue, and the prefix BullMQ puts before it. */
  readonly queuePrefix: string;
  queueName(tier: string, queue: QueueKind): string;
  /** The keys of a tier's ledger, in the order in which its scripts take them. */
  ledger(tier: string): readonly [entries: string, order: string, ...others: string[]];
  /** Name of the BullMQ queue of webhooks, behind the same prefix. */
  readonly webhookQueueName: string;
  /**
   * Channel: live events for the jobs that one API replica follows. By the end of its name scripts tell
   * that it takes several in one message: see `prelude.lua`.
   */
  replicaChannel(replicaId: string): string;
  /** Channel: requests to whoever runs a job, such as cancel. */
  readonly controlChannel: string;
  /** Hash: the heartbeats of a tier's workers. */
  workers(tier: string): string;
  /** Hash: of each engine of a tier, the breaker that its workers share. */
  breakers(tier: string): string;
  /** String: the worker that may probe an engine whose breaker is not closed. */
  probeLease(tier: string, upstream: string): string;
  /** Hash: the job of an idempotency key, the hash of its body, and whether it has been written. */
  idempotency(owner: string, key: string): string;
  /** String: the last job of a tier that has answered a request. */
  answer(tier: string, requestHash: string): string;
  /** Hash: the API keys by their ids; hash: those ids by the digests of their texts. */
  readonly apiKeys: readonly [records: string, digests: string];
  /** What an API key has in use, in the order in which the scripts take it. */
  holds(keyId: string): readonly [holds: string, tokens: string, day: string, placeless: string];
  /** String: how many requests an API key has made in this minute. */
  requests(keyId: string, kind: RequestKind): string;
  /** Sorted set: API replicas, by their last heartbeat. */
  readonly replicas: string;
  /** Set: the open jobs that are bound to connections of one API replica. */
  bound(replicaId: string): string;
  /** Sorted set: jobs that are not terminal, by creation time. */
  readonly open: string;
  /** Sorted set: open jobs by when their time is up: to be started, to run, to be cancelled. */
  readonly deadlines: string;
  /** Sorted set: open jobs that have been started, by creation time. */
  readonly started: string;
  /** Sorted set: an owner's jobs that are open, or that have ended in this way, by creation time. */
  jobsOf(owner: string, list: 'open' | TerminalState): string;
  /** Sorted set: `<state> <job> <owner>` of the ended jobs, by when their record goes. */
  readonly kept: string;
  /** The keys of a batch, in the order in which its scripts take them: see `batch.lua`. */
  batch(batchId: string): BatchKeys;
  /** Sorted sets: an owner's batches, and those of them that are not over, by creation time. */
  batchesOf(owner: string): readonly [all: string, open: string];
  /** Sorted set: the batches that are not over, by when their time is up. */
  readonly batches: string;
  /** Sorted set: the batches that are over, and may have left something in the file store, by when. */
  readonly batchesOver: string;
  /** Hash: the runner that has the batches, until when, and the epoch of its lease. */
  readonly runnerLease: string;
  /** Hash: the record of a file. */
  file(fileId: string): string;
  /** Sorted set: an owner's files, by creation time. */
  filesOf(owner: string, list: FileList): string;
  /** Hash: the bytes of each owner's files together. */
  readonly fileBytes: string;
  /** Sorted set: files by when their content is to be removed, also of those without a record. */
  readonly filesDue: string;
  /** String: the id of the deployment, which its file store has as well. */
  readonly deployment: string;
  /** String: where a file that was removed stood among those of its owner. */
  goneFile(fileId: string): string;
  /** String: what replicas must have got; `mark` is there to be in any slot. */
  replicationMark(mark: number): string;
}

type BatchKeys = readonly [
  record: string,
  done: string,
  segments: string,
  open: string,
  ended: string,
  committed: string,
];

/** `root` is `qarr` in production; tests use one of their own each. */
export function createKeys(root = 'qarr'): Keys {
  // In the slot of the tier's queues.
  const tierKey = (tier: string, name: string) => `{${root}:${tier}}:${name}`;
  // One slot: limits of an owner are looked at where a record is written.
  const fileKey = (name: string) => `{${root}:_files}:${name}`;
  return {
    job: (jobId) => `${root}:{${jobId}}:job`,
    log: (jobId) => `${root}:{${jobId}}:log`,
    queuePrefix: `{${root}`,
    queueName,
    ledger: (tier) => [
      tierKey(tier, 'ledger'),
      tierKey(tier, 'ledger-order'),
      tierKey(tier, 'ledger-counts'),
      tierKey(tier, 'ledger-tags-interactive'),
      tierKey(tier, 'ledger-tags-standard'),
      tierKey(tier, 'ledger-tags-batch'),
      `{${root}:${queueName(tier, 'foreground')}:prioritized`,
      `{${root}:${queueName(tier, 'batch')}:prioritized`,
    ],
    // No tier's name begins like this.
    webhookQueueName: '_webhooks}',
    replicaChannel: (replicaId) => `${root}:api:${replicaId}:lines`,
    controlChannel: `${root}:control`,
    workers: (tier) => `${root}:workers:${tier}`,
    breakers: (tier) => `{${root}:${tier}}:breakers`,
    probeLease: (tier, upstream) => `{${root}:${tier}}:probe:${upstream}`,
    idempotency: (owner, key) => `${root}:idem:${owner}:${key}`,
    answer: (tier, requestHash) => `${root}:answer:${tier}:${requestHash}`,
    apiKeys: [`{${root}:_keys}:records`, `{${root}:_keys}:digests`],
    holds: (keyId) => [
      `${root}:{${keyId}}:holds`,
      `${root}:{${keyId}}:held-tokens`,
      `${root}:{${keyId}}:day`,
      `${root}:{${keyId}}:placeless`,
    ],
    requests: (keyId, kind) => `${root}:{${keyId}}:${kind}`,
    replicas: `${root}:replicas`,
    bound: (replicaId) => `${root}:bound:${replicaId}`,
    open: `${root}:open`,
    deadlines: `${root}:deadlines`,
    started: `${root}:started`,
    jobsOf: (owner, list) => `${root}:jobs:${owner}:${list}`,
    kept: `${root}:kept`,
    batch: (batchId) => [
      `${root}:{${batchId}}:batch`,
      `${root}:{${batchId}}:done`,
      `${root}:{${batchId}}:segments`,
      `${root}:{${batchId}}:open`,
      `${root}:{${batchId}}:ended`,
      `${root}:{${batchId}}:committed`,
    ],
    batchesOf: (owner) => [`${root}:batches:{${owner}}:all`, `${root}:batches:{${owner}}:open`],
    batches: `${root}:batches`,
    batchesOver: `${root}:batches-over`,
    runnerLease: `${root}:runner-lease`,
    file: (fileId) => fileKey(`record:${fileId}`),
    filesOf: (owner, list) => fileKey(`list:${list}:${owner}`),
    fileBytes: fileKey('bytes'),
    filesDue: fileKey('due'),
    deployment: fileKey('deployment'),
    goneFile: (fileId) => fileKey(`gone:${fileId}`),
    replicationMark: (mark) => `${root}:{mark-${mark}}`,
  };
}

// BullMQ joins prefix and name with a colon: `{qarr:fast}` becomes `{qarr:fast}:wait` when the
// opening brace stands in the prefix and the closing one in the name.
function queueName(tier: string, queue: QueueKind): string {
  return queue === 'foreground' ? `${tier}}` : `${tier}}_batch`;
}
