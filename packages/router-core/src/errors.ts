/**
 * The closed table of error codes. Every error that leaves QARR, over HTTP, in a stream or in a
 * job record, carries one of these codes. Compare `code`, never `instanceof`, across packages.
 *
 * `type` is OpenAI's coarse class of the error, which official clients show to their users.
 * `retryable` says whether the same request may succeed later without a change.
 */
export const ERROR_TABLE = {
  invalid_request: row(400, 'invalid_request_error', false, 'The request is not valid.'),
  invalid_json: row(400, 'invalid_request_error', false, 'The body is not valid JSON.'),
  invalid_utf8: row(400, 'invalid_request_error', false, 'The body is not valid UTF-8.'),
  unknown_parameter: row(400, 'invalid_request_error', false, 'Unknown parameter.'),
  unsupported_parameter: row(400, 'invalid_request_error', false, 'Unsupported parameter.'),
  conflicting_pin: row(400, 'invalid_request_error', false, 'tier and model name two tiers.'),
  unknown_tier: row(400, 'invalid_request_error', false, 'There is no such tier.'),
  context_length_exceeded: row(400, 'invalid_request_error', false, 'Too long for the model.'),
  invalid_cursor: row(400, 'invalid_request_error', false, 'No event with that number exists.'),
  upstream_rejected: row(400, 'invalid_request_error', false, 'The engine refused the request.'),
  // Of these the status is one that no client sends again by itself, whatever it is told: some do so
  // with 409 or 422, all with a 5xx.
  job_cancelled: row(400, 'invalid_request_error', false, 'The job was cancelled.'),
  file_in_use: row(
    400,
    'invalid_request_error',
    false,
    'A batch that is not over reads this file.',
  ),
  file_quota_exceeded: row(
    400,
    'invalid_request_error',
    false,
    'Your files are as many, or as large, as they may be. Delete some first.',
  ),
  batch_over: row(
    400,
    'invalid_request_error',
    false,
    'The batch is over: nothing is left to cancel.',
  ),
  poison: row(
    400,
    'invalid_request_error',
    false,
    'The job ended several workers: it is given up.',
  ),
  invalid_api_key: row(401, 'authentication_error', false, 'Incorrect API key provided.'),
  insufficient_scope: row(403, 'permission_error', false, 'This key may not do that.'),
  class_not_allowed: row(403, 'permission_error', false, 'This key may not ask for that class.'),
  model_not_found: row(404, 'invalid_request_error', false, 'There is no such model.'),
  job_not_found: row(404, 'invalid_request_error', false, 'There is no such job.'),
  response_not_found: row(404, 'invalid_request_error', false, 'There is no such response.'),
  previous_response_not_found: row(
    404,
    'invalid_request_error',
    false,
    'There is no such response to go on from.',
  ),
  file_not_found: row(404, 'invalid_request_error', false, 'There is no such file.'),
  batch_not_found: row(404, 'invalid_request_error', false, 'There is no such batch.'),
  unknown_route: row(404, 'invalid_request_error', false, 'There is no such route.'),
  request_timeout: row(408, 'invalid_request_error', true, 'The request took too long to arrive.'),
  idempotent_job_gone: row(
    410,
    'invalid_request_error',
    false,
    'The job of this Idempotency-Key has been removed; use another key to run it again.',
  ),
  file_too_large: row(413, 'invalid_request_error', false, 'The file is too large.'),
  body_too_large: row(413, 'invalid_request_error', false, 'The body is too large.'),
  unsupported_media_type: row(415, 'invalid_request_error', false, 'Send application/json.'),
  range_not_satisfiable: row(
    416,
    'invalid_request_error',
    false,
    'The file has nothing in that range.',
  ),
  idempotency_key_reused: row(
    422,
    'invalid_request_error',
    false,
    'This Idempotency-Key was used for another request.',
  ),
  rate_limit_exceeded: row(429, 'rate_limit_error', true, 'This key has reached its limit.'),
  // It may be tried again on another day: nothing that a client should wait for.
  insufficient_quota: row(
    429,
    'rate_limit_error',
    false,
    'This key has used its quota of tokens for today.',
  ),
  header_too_large: row(431, 'invalid_request_error', false, 'The headers are too large.'),
  internal_error: row(500, 'server_error', true, 'Something went wrong on our side.'),
  upstream_error: row(502, 'server_error', true, 'The engine failed.'),
  upstream_interrupted: row(502, 'server_error', true, 'The engine stopped in the middle.'),
  upstream_timeout: row(504, 'server_error', true, 'The engine took too long.'),
  worker_lost: row(502, 'server_error', true, 'The worker died in the middle of the answer.'),
  queue_unavailable: row(
    503,
    'server_error',
    true,
    'The queue does not answer. A job that was being submitted may or may not exist.',
  ),
  not_replicated: row(
    503,
    'server_error',
    true,
    'Too few replicas of the queue have confirmed in time. What was submitted may or may not outlive a failure.',
  ),
  storage_full: row(503, 'server_error', true, 'The queue has no room for another job now.'),
  queue_full: row(503, 'server_error', true, 'As many jobs wait for this tier as may wait.'),
  overloaded: row(
    503,
    'server_error',
    true,
    'The tier has too much to do to start the job in time. Come back later, give it more time (queue_timeout_ms), or allow other tiers (fallback).',
  ),
  batch_paused: row(
    503,
    'server_error',
    true,
    'The tier takes no batch work while its queue-depth alert is raised. Come back later.',
  ),
  tier_unavailable: row(503, 'server_error', true, 'No engine of the tier takes jobs now.'),
  shutting_down: row(503, 'server_error', true, 'This server is stopping.'),
  files_unavailable: row(503, 'server_error', true, 'The file store does not answer.'),
  files_full: row(507, 'server_error', true, 'The file store has no room for this file now.'),
  queue_timeout: row(504, 'server_error', true, 'The job waited too long to be started.'),
  run_timeout: row(504, 'server_error', true, 'The job ran too long.'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERROR_TABLE;

export interface ErrorRow {
  readonly httpStatus: number;
  readonly type:
    | 'invalid_request_error'
    | 'authentication_error'
    | 'permission_error'
    | 'rate_limit_error'
    | 'server_error';
  readonly retryable: boolean;
  readonly message: string;
}

/** What a client is told that is refused for want of capacity, so that it knows when to come back. */
export interface Congestion {
  readonly tier: string;
  readonly retryAfterMs: number;
  /** Null when nobody can tell. */
  readonly estimatedWaitMs: number | null;
  /** Jobs that wait in the tier. */
  readonly queueDepth: number;
}

/** The body of every error, as OpenAI's clients expect it. */
export interface ErrorBody {
  error: {
    message: string;
    type: string;
    param: string | null;
    code: string;
    tier?: string;
    retry_after_ms?: number;
    estimated_wait_ms?: number | null;
    queue_depth?: number;
  };
}

/**
 * An error with a code of the table.
 *
 * `message` replaces the table's text when there is more to say; it must never hold a prompt, an
 * output or a key. `param` names the field of the request that is wrong.
 */
export class QarrError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly congestion: Congestion | null;
  /** When to come back, where that is known. */
  readonly retryAfterMs: number | null;

  constructor(
    code: ErrorCode,
    details: {
      message?: string | undefined;
      param?: string | undefined;
      congestion?: Congestion | undefined;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    } = {},
  ) {
    super(details.message ?? ERROR_TABLE[code].message, { cause: details.cause });
    this.name = 'QarrError';
    this.code = code;
    this.param = details.param ?? null;
    this.congestion = details.congestion ?? null;
    this.retryAfterMs = details.retryAfterMs ?? details.congestion?.retryAfterMs ?? null;
  }
}

export function errorRow(code: ErrorCode): ErrorRow {
  return ERROR_TABLE[code];
}

export function errorBody(error: {
  code: ErrorCode;
  message: string;
  param?: string | null | undefined;
  congestion?: Congestion | null | undefined;
}): ErrorBody {
  const { code, message, param = null, congestion } = error;
  const { type } = ERROR_TABLE[code];
  return { error: { message, type, param, code, ...(congestion && congestionFields(congestion)) } };
}

function congestionFields(congestion: Congestion) {
  return {
    tier: congestion.tier,
    retry_after_ms: congestion.retryAfterMs,
    estimated_wait_ms: congestion.estimatedWaitMs,
    queue_depth: congestion.queueDepth,
  };
}

function row(
  httpStatus: number,
  type: ErrorRow['type'],
  retryable: boolean,
  message: string,
): ErrorRow {
  return { httpStatus, type, retryable, message };
}
