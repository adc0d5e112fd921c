// Routing
export { classify } from './classify.ts';
export type { Routing } from './classify.ts';
export { dropOldestTurns, fits, nearLimit } from './context-window.ts';
export { DEFAULT_POLICY } from './routing-policy.ts';
export type { RoutingPolicy } from './routing-policy.ts';
export { estimateToolTokens, extractFeatures } from './text-features.ts';
export type { RequestFeatures } from './text-features.ts';

// Configuration
export { createDeployment, firstProblem } from './deployment.ts';
export type { Deployment, TierConfig } from './deployment.ts';
export { describeRedis, nodeText, readRedisUrl } from './redis-address.ts';
export type { RedisAddress, RedisNode } from './redis-address.ts';

// The life of a job
export {
  JOB_TRANSITIONS,
  TERMINAL_STATES,
  canTransition,
  isTerminalState,
  jobClassSchema,
  jobRecordSchema,
  jobResultSchema,
  jobStateSchema,
  jobSummarySchema,
} from './job.ts';
export type {
  Fallback,
  IdempotencyKey,
  JobClass,
  JobQuota,
  JobChange,
  JobRecord,
  JobResult,
  JobState,
  JobSummary,
  NewJob,
  OnInterrupt,
  Rerouted,
  TerminalState,
  ToolCall,
} from './job.ts';
export { fullJitterMs } from './backoff.ts';
export { isCacheable } from './cached-answer.ts';
export type { CachedAnswer } from './cached-answer.ts';

// Files and batches
export { EVEN_SHARES, feedNext } from './batch-share.ts';
export type { ShareState, Sharer } from './batch-share.ts';
export { batchWaitingMax, nextWindow, roomFor } from './batch-window.ts';
export { contentOf, filePurposeSchema, storedFileSchema } from './stored-file.ts';
export type { FilePurpose, NewFile, StoredFile } from './stored-file.ts';
export {
  BATCH_TRANSITIONS,
  batchEndpointSchema,
  batchRecordSchema,
  batchStateSchema,
  isBatchOver,
  lineJobId,
  segmentSchema,
} from './batch.ts';
export type {
  BatchEndpoint,
  BatchError,
  BatchLineRef,
  BatchRecord,
  BatchState,
  BatchUsage,
  NewBatch,
  Segment,
} from './batch.ts';
export { batchRequestSchema, windowMsOf } from './batch-request.ts';
export type { BatchRequest, InlineRequest } from './batch-request.ts';
export { createBatchChecker } from './batch-checker.ts';
export type { BatchChecker, BatchLimits } from './batch-checker.ts';
export { parseBatchLine } from './batch-line.ts';
export type { BatchLine } from './batch-line.ts';
export { parseLineBody, routedOfLine } from './line-request.ts';
export type { LineRequest } from './line-request.ts';
export { createLineSplitter } from './line-splitter.ts';
export type { LineSplitter, RawLine } from './line-splitter.ts';

// Tiers
export { engineName, isLoopback } from './engine-name.ts';
export { breakerSchema, workerStatusSchema } from './tier-status.ts';
export type { BreakerName, TierStatus, UpstreamStatus, WorkerStatus } from './tier-status.ts';
export { NO_LOAD, costOf, depthOf, expectedCost } from './tier-load.ts';
export type { Ahead, ClassLoad, TierLoad } from './tier-load.ts';
export { NO_PACE, tierSnapshot, typicalTokens } from './tier-snapshot.ts';
export type { TierPace, TierSnapshot } from './tier-snapshot.ts';

// Admission
export { admit } from './admission.ts';
export type { Admission } from './admission.ts';
export type { AdmissionOptions, AdmissionRequest, EntryLimits } from './admission-request.ts';
export { refusal } from './refusal.ts';
export type { Refusal, RefuseReason } from './refusal.ts';
export { equalOrHigherClasses, estimateWaits } from './wait-estimate.ts';
export { placeAt, placeFound } from './queue-place.ts';
export type { QueuePlace } from './queue-place.ts';
export { planMoves, takesNone } from './moves.ts';
export type { MoveReason, WaitingJob } from './moves.ts';

// Breaker and retries
export {
  BREAKER_DEFAULTS,
  askBreaker,
  closedBreaker,
  followBreaker,
  restartBreaker,
  settleBreaker,
} from './breaker.ts';
export type { Breaker, BreakerOptions, BreakerTold, CallOutcome, Permit } from './breaker.ts';
export { RETRIES_PER_SUCCESS, addSuccess, fullRetryBudget, takeRetry } from './retry-budget.ts';
export type { RetryBudget } from './retry-budget.ts';

// Keys
export {
  NO_LIMITS,
  SCOPES,
  apiKeySchema,
  isAbove,
  isUsable,
  keyGrantSchema,
  lowered,
} from './api-key.ts';
export type { ApiKey, KeyGrant, KeyLimits, KeyText, Scope } from './api-key.ts';

// Wire shapes
export { chatRequestSchema, jobRequestSchema, routeRequestSchema } from './requests.ts';
export type { ChatRequest, JobRequest } from './requests.ts';
export { classOfServiceTier, servedAs } from './service-tier.ts';
export { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
export { messageHoldsPlaceholder } from './request-messages.ts';
export type { RequestMessage } from './request-messages.ts';
export { chatOfResponse, responseRequestSchema } from './responses-request.ts';
export type { ResponseRequest } from './responses-request.ts';
export { messagesOfItems } from './response-input.ts';
export type { ResponseInputItem } from './response-input.ts';
export type { StoredResponse } from './stored-response.ts';
export { completionRequestSchema } from './completion-request.ts';
export type { RawRequest } from './completion-request.ts';
export { webhookOf } from './webhook-fields.ts';
export type { JobWebhook, WebhookEvent } from './webhook-fields.ts';
export { toEngineRequest } from './to-engine-request.ts';
export { engineRequestSchema, inputOf, isRaw } from './engine-request.ts';
export type {
  ChatEngineRequest,
  EngineInput,
  EngineMessage,
  EngineRequest,
  RawEngineRequest,
} from './engine-request.ts';
export {
  finishReasonSchema,
  isTerminalType,
  jobError,
  jobErrorSchema,
  jobEventSchema,
  logprobsSchema,
  timingsSchema,
  toolCallPieceSchema,
  usageSchema,
} from './events.ts';
export type {
  FinishReason,
  JobError,
  JobEvent,
  JobEventType,
  LoggedEvent,
  Logprobs,
  TerminalEvent,
  Timings,
  ToolCallPiece,
  Usage,
} from './events.ts';

export { canonicalJson } from './canonical-json.ts';
export { parseStrictJson } from './strict-json.ts';
export { requestError } from './request-error.ts';

// Tracing
export { childTraceparent, parseTraceparent } from './trace-context.ts';

// Errors
export { ERROR_TABLE, QarrError, errorBody, errorRow } from './errors.ts';
export type { ErrorCode } from './errors.ts';
