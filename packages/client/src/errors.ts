/** The one error that leaves the client. Compare `code`, never the message. */

/** Codes of the API: see its documentation for what each means. */
export type ApiErrorCode =
  | 'invalid_request'
  | 'invalid_json'
  | 'invalid_utf8'
  | 'unknown_parameter'
  | 'unsupported_parameter'
  | 'conflicting_pin'
  | 'unknown_tier'
  | 'context_length_exceeded'
  | 'invalid_cursor'
  | 'upstream_rejected'
  | 'invalid_api_key'
  | 'insufficient_scope'
  | 'class_not_allowed'
  | 'model_not_found'
  | 'job_not_found'
  | 'response_not_found'
  | 'previous_response_not_found'
  | 'unknown_route'
  | 'request_timeout'
  | 'job_cancelled'
  | 'idempotent_job_gone'
  | 'body_too_large'
  | 'unsupported_media_type'
  | 'idempotency_key_reused'
  | 'rate_limit_exceeded'
  | 'insufficient_quota'
  | 'header_too_large'
  | 'internal_error'
  | 'poison'
  | 'upstream_error'
  | 'upstream_interrupted'
  | 'upstream_timeout'
  | 'worker_lost'
  | 'queue_unavailable'
  | 'not_replicated'
  | 'storage_full'
  | 'queue_full'
  | 'overloaded'
  | 'batch_paused'
  | 'tier_unavailable'
  | 'shutting_down'
  | 'queue_timeout'
  | 'run_timeout'
  | 'file_in_use'
  | 'batch_over'
  | 'file_not_found'
  | 'batch_not_found'
  | 'file_too_large'
  | 'file_quota_exceeded'
  | 'range_not_satisfiable'
  | 'files_unavailable'
  | 'files_full';

/** Codes of the client itself. */
export type ClientErrorCode =
  /** No answer: nobody listens, or the connection broke. */
  | 'network_error'
  /** No answer in time. */
  | 'timeout'
  /** The caller's signal; its reason is the `cause`. */
  | 'aborted'
  /** An error status without an error of QARR: a proxy's, perhaps. */
  | 'http_error'
  /** An answer that is not QARR's, or has no end. */
  | 'bad_answer'
  /** The client or a call was told something that cannot be; nothing was sent. */
  | 'invalid_option'
  /** The circuit breaker of the tier is open, and there was nothing to fall back to. */
  | 'breaker_open'
  /** The stream was taken up so many times in a row without anything new. */
  | 'reconnects_exhausted'
  /** An event is missing. */
  | 'stream_gap'
  /** The job has ended and its events are no longer kept; its result may be. */
  | 'events_gone';

/** An API that is newer than this client may have other codes. */
// oxlint-disable-next-line typescript/ban-types -- `string` alone would swallow the names
export type ErrorCode = ApiErrorCode | ClientErrorCode | (string & {});

export interface ErrorFields {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly status?: number | undefined;
  readonly requestId?: string | null | undefined;
  readonly retryAfterMs?: number | null | undefined;
  readonly param?: string | null | undefined;
  readonly jobId?: string | null | undefined;
  readonly cause?: unknown;
}

export class QarrClientError extends Error {
  readonly code: ErrorCode;
  /** Of HTTP; null where there was no answer, and for a job that failed. */
  readonly status: number | null;
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean;
  /** `x-request-id` of the answer, by which the API's log can be searched. */
  readonly requestId: string | null;
  /** When to come back, where that was said. */
  readonly retryAfterMs: number | null;
  /** The field of the request that is wrong. */
  readonly param: string | null;
  /** The job that it is about, where there is one. */
  readonly jobId: string | null;

  constructor(fields: ErrorFields) {
    super(fields.message, { cause: fields.cause });
    this.name = 'QarrClientError';
    this.code = fields.code;
    this.status = fields.status ?? null;
    this.retryable = fields.retryable;
    this.requestId = fields.requestId ?? null;
    this.retryAfterMs = fields.retryAfterMs ?? null;
    this.param = fields.param ?? null;
    this.jobId = fields.jobId ?? null;
  }
}

export function invalidOption(message: string): QarrClientError {
  return new QarrClientError({ code: 'invalid_option', message, retryable: false });
}

export function abortedError(signal: AbortSignal): QarrClientError {
  return new QarrClientError({
    code: 'aborted',
    message: 'The caller gave up.',
    retryable: false,
    cause: signal.reason,
  });
}
