// Routing
export { classify } from './classify.ts';
export type { Routing } from './classify.ts';
export { dropOldestTurns, fits, nearLimit } from './context-window.ts';
export { DEFAULT_POLICY, DEFAULT_ROUTING_RULES, createPolicy } from './routing-policy.ts';
export type { RoutingPolicy, TierWindow } from './routing-policy.ts';
export { extractFeatures } from './text-features.ts';
export type { RequestFeatures, RoutableRequest } from './text-features.ts';

// Configuration
export { createDeployment, firstProblem } from './deployment.ts';
export type { Deployment, TierConfig } from './deployment.ts';

// The life of a job
export {
  JOB_TRANSITIONS,
  canTransition,
  isTerminalState,
  jobClassSchema,
  jobRecordSchema,
  jobResultSchema,
  jobStateSchema,
} from './job.ts';
export type {
  Fallback,
  JobClass,
  JobRecord,
  JobResult,
  JobState,
  NewJob,
  OnInterrupt,
} from './job.ts';
export { fullJitterMs } from './backoff.ts';
export { queuePriority } from './priority.ts';
export { estimateWaitMs, workerStatusSchema } from './tier-status.ts';
export type { TierStatus, WorkerStatus } from './tier-status.ts';

// Wire shapes
export { chatRequestSchema, jobRequestSchema, toEngineRequest } from './requests.ts';
export type { ChatRequest, JobRequest } from './requests.ts';
export { engineRequestSchema } from './engine-request.ts';
export type { EngineMessage, EngineRequest } from './engine-request.ts';
export {
  finishReasonSchema,
  isTerminalType,
  jobError,
  jobErrorSchema,
  jobEventSchema,
  timingsSchema,
  usageSchema,
} from './events.ts';
export type {
  DeltaEvent,
  FinishReason,
  JobError,
  JobEvent,
  JobEventType,
  LoggedEvent,
  TerminalEvent,
  Timings,
  Usage,
} from './events.ts';

// Errors
export { ERROR_TABLE, QarrError, errorBody, errorRow, isErrorCode } from './errors.ts';
export type { ErrorBody, ErrorCode, ErrorRow } from './errors.ts';
