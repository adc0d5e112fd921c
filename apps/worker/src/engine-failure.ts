/** What an engine's failure means for the job: the one place where that is decided. */
import type { Burns } from '@qarr/job-store';
import type { ErrorCode } from '@qarr/router-core';
import type { Phase } from './watchdog.ts';

export interface EngineFailure {
  readonly code: ErrorCode;
  /** Never an engine's own words: they may quote the prompt. */
  readonly message: string;
  /** It ended in the middle, as it does when it is told to stop. */
  readonly brokeOff: boolean;
  /** Another attempt may succeed. */
  readonly retryable: boolean;
  /** What another attempt costs the job. */
  readonly burns: Burns;
  /** Not before, in milliseconds: what the engine asked for; null when it said nothing. */
  readonly retryAfterMs: number | null;
  /**
   * What it says of the engine. `gone`: nobody listens there. `suspect`: it must answer a canary
   * before it gets another job. `busy`: it works, and has more to do than it can take. `fine`: the
   * request was at fault.
   */
  readonly engine: 'gone' | 'suspect' | 'busy' | 'fine';
}

/** No engine may send a job away for longer; nor may a job wait longer than its deadline. */
const RETRY_AFTER_MS_MAX = 60_000;

const CONTEXT_LENGTH =
  /maximum context length|maximum model length|context length is only|is too large: \d+|cannot be greater than/i;

/** From the status of a response that is not 2xx, and the beginning of its body. */
export function failureOfStatus(
  status: number,
  body: string,
  {
    retryAfter,
    isRaw = false,
  }: {
    retryAfter?: string | undefined;
    /** The request was one that not every engine has a route for: a prompt without a template. */
    isRaw?: boolean;
  } = {},
): EngineFailure {
  const message = `The engine answered ${status}.`;
  if (status === 400 && CONTEXT_LENGTH.test(body)) {
    return refused('context_length_exceeded', {
      message: 'The prompt and max_tokens exceed the context window of the engine.',
    });
  }
  if (status === 429 || status === 503) {
    const retryAfterMs = parseRetryAfterMs(retryAfter);
    return { ...failed('upstream_error', message), burns: 'nothing', retryAfterMs, engine: 'busy' };
  }
  // A model that is not there is answered alike, and is our mistake.
  if (isRaw && ROUTE_MISSING.has(status) && !/model/i.test(body)) {
    return refused('upstream_rejected', {
      message: `The engine has no /v1/completions, it answered ${status}: it takes only chats.`,
    });
  }
  if (REQUEST_REFUSED.has(status)) {
    const refusal = `The engine refused the request with ${status}.`;
    return refused('upstream_rejected', { message: refusal });
  }
  // Below 500 our address, key or model name is wrong, not the client's request.
  return { ...failed('upstream_error', message), retryable: status >= 500 };
}

/** The request itself is at fault: it is not valid, too large, or not what the model can do. */
const REQUEST_REFUSED: ReadonlySet<number> = new Set([400, 413, 422, 501]);

const ROUTE_MISSING: ReadonlySet<number> = new Set([404, 405]);

/** From an error event inside a stream whose status was 200. */
export function failureOfErrorEvent({
  status,
  detail,
}: {
  status: number | null;
  detail: string;
}): EngineFailure {
  if (status !== null && status >= 400 && status < 500 && status !== 429) {
    return failureOfStatus(status, detail);
  }
  return failed('upstream_error', 'The engine reported an error inside its answer.');
}

/** From a connection that could not be made, or broke: `code` says how, in the system's words. */
export function failureOfConnection(
  code: string,
  { reached }: { reached: 'nobody' | 'no answer' | 'text' },
): EngineFailure {
  if (reached === 'nobody') {
    const message = `The engine cannot be reached (${code}).`;
    return { ...failed('upstream_error', message), burns: 'spare', engine: 'gone' };
  }
  const message = `The engine broke off (${code}).`;
  const failure = { ...failed('upstream_error', message), brokeOff: true };
  const isReset = reached === 'no answer' && RESETS.has(code);
  return isReset ? { ...failure, burns: 'spare' } : failure;
}

/** The connection went away; anything else is an answer that is not HTTP. */
const RESETS: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

export function failureOfTimeout(phase: Phase, ms: number): EngineFailure {
  return failed('upstream_timeout', `The engine exceeded its ${phase} timeout of ${ms} ms.`);
}

/** The stream ended, and not with a reason that means a whole answer. */
export function failureOfEnding(finishReason: string | null): EngineFailure {
  const message = `The engine ended its answer with ${nameOfEnding(finishReason)}.`;
  const brokeOff = finishReason === null || finishReason === 'abort';
  return { ...failed('upstream_error', message), brokeOff };
}

function nameOfEnding(finishReason: string | null): string {
  if (finishReason === null) return 'no finish reason';
  return BROKEN_ENDINGS.has(finishReason) ? `"${finishReason}"` : 'an unknown finish reason';
}

/** What engines are known to say when they did not finish. */
const BROKEN_ENDINGS: ReadonlySet<string> = new Set(['abort', 'error', 'repetition']);

export function failureOfProtocol(message: string): EngineFailure {
  return failed('upstream_error', message);
}

/** Text was published, and cannot be carried on. `mayBe`: another attempt may be able to. */
export function failureOfContinuation({
  why,
  mayBe,
}: {
  why: string;
  mayBe: boolean;
}): EngineFailure {
  const message = `The engine stopped in the middle, and the answer cannot be carried on: ${why}.`;
  return { ...refused('upstream_interrupted', { message }), retryable: mayBe };
}

function refused(code: ErrorCode, { message }: { message: string }): EngineFailure {
  return {
    code,
    message,
    brokeOff: false,
    retryable: false,
    burns: 'try',
    retryAfterMs: null,
    engine: 'fine',
  };
}

function failed(code: ErrorCode, message: string): EngineFailure {
  return {
    code,
    message,
    brokeOff: false,
    retryable: true,
    burns: 'try',
    retryAfterMs: null,
    engine: 'suspect',
  };
}

/** Seconds; a date is for people's browsers. */
function parseRetryAfterMs(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,9}$/.test(header.trim())) return null;
  return Math.min(Number(header) * 1_000, RETRY_AFTER_MS_MAX);
}
