// The client
export { createClient } from './client.ts';
export type { QarrClient } from './client.ts';
export type { Batches, Files } from './batch-calls.ts';
export type {
  BatchListOptions,
  BatchRef,
  BatchResultsOptions,
  BreakerChange,
  BreakerSettings,
  CallOptions,
  ChatFallback,
  ChatOptions,
  ClientOptions,
  ContentOptions,
  FileListOptions,
  FileRef,
  JobRef,
  StreamOptions,
  SubmitOptions,
} from './options.ts';

// Errors
export { QarrClientError } from './errors.ts';
export type { ApiErrorCode, ClientErrorCode, ErrorCode } from './errors.ts';

// What is asked
export type {
  BatchLine,
  BatchRequest,
  ChatRequest,
  Fallback,
  FileUpload,
  JobClass,
  JobRequest,
  Message,
  ResponseFormat,
  Role,
  RouteRequest,
  Tool,
  ToolCall,
  ToolChoice,
} from './requests.ts';

// What is answered
export { isBatchOver } from './batch-answers.ts';
export { isTerminal } from './events.ts';
export type {
  CancelledEvent,
  CompletedEvent,
  DeltaEvent,
  ExpiredEvent,
  FailedEvent,
  FinishReason,
  JobError,
  JobEvent,
  Logprobs,
  PositionEvent,
  QueuedEvent,
  ReroutedEvent,
  ResetEvent,
  StartedEvent,
  StreamEvent,
  TerminalEvent,
  Timings,
  ToolCallPiece,
  Usage,
} from './events.ts';
export type {
  AcceptedJob,
  BreakerState,
  Cancellation,
  ChatAnswer,
  ChatChoice,
  Choice,
  Job,
  JobResult,
  JobStatus,
  JobToken,
  Route,
  Tier,
  TierEngine,
  Tiers,
  TierWorker,
} from './answers.ts';
export type {
  Batch,
  BatchEndpoint,
  BatchError,
  BatchList,
  BatchOutcome,
  BatchResults,
  BatchStatus,
  BatchUsage,
  DeletedFile,
  FileList,
  FilePurpose,
  StoredFile,
} from './batch-answers.ts';
