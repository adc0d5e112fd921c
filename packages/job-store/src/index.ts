// For servers
export { createProducerStore } from './producer-store.ts';
export type { ProducerStore } from './producer-store.ts';
export { createKeyStore } from './api-keys.ts';
export type { ApiKeys, FoundKey, ReadKey } from './api-keys.ts';
export type { OverQuota, RequestCount, TokenBudget } from './quota.ts';
export type { Backlog } from './backlog.ts';
export type { RedisMemory } from './memory-guard.ts';
export type { KnownSubmission, Placement, QueuePlace, Submission } from './submitter.ts';
export type { Found } from './ledger.ts';
export type { MoveOutcome } from './move.ts';
export type { PlacedJob } from './waiting.ts';
export type { FollowOptions } from './followers.ts';
export type { JobPage, ListCursor, ListOptions } from './listing.ts';
export { createWebhookConsumer } from './webhook-consumer.ts';
export type { DueWebhook, WebhookConsumer, WebhookVerdict } from './webhook-consumer.ts';
export type { EndedBatch } from './ended-batch.ts';
export type { EndedJob } from './ended-job.ts';

export type { FileCreation, FileLimits, FileListOptions, FileRecords } from './file-records.ts';
export type { BatchCreation, BatchRecords } from './batch-records.ts';

// For the runner of batches
export type { BatchUrgency } from './batch-index.ts';
export type { BatchRuns, BatchWrite, Commit, OpenedBatch, RunnerLease } from './batch-runs.ts';

// For workers
export { createWorkerStore } from './worker-store.ts';
export type { Delivery, WorkerStore } from './worker-store.ts';
export type { Claim, Claimant, ClaimedJob } from './claim.ts';
export type { JobStanding } from './standing.ts';
export type { StopReason, WriteOutcome } from './appends.ts';
export type { AttemptLog, Burns, Ending } from './event-log.ts';
export type { AnswerDelta } from './delta-buffer.ts';
export type { SoFar } from './so-far.ts';
export type { Consumer } from './consumer.ts';
export type { QueueKind } from './keys.ts';
export type { SharedBreakers } from './breakers.ts';
export type { QueueEntry } from './queues.ts';
export { HEARTBEAT_MS } from './workers.ts';

// For both
export type { RedisProblems } from './redis-check.ts';
export { DEFAULT_RETENTION } from './retention.ts';
export type { Retention } from './retention.ts';
