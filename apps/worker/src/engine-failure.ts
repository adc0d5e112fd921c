/** What an engine's failure means for the job: the one place where that is decided. */
import type { ErrorCode } from '@qarr/router-core';

export interface EngineFailure {
  readonly code: ErrorCode;
  /** Never an engine's own words: they may quote the prompt. */
  readonly message: string;
  /** Another try may succeed. */
  readonly retryable: boolean;
  /** The try counts against the job. It does not when the engine never took the request. */
  readonly burnsAttempt: boolean;
  /** Nobody listens at the engine's address: no job should be sent there for now. */
  readonly engineGone: boolean;
}

const CONTEXT_LENGTH =
  /maximum context length|maximum model length|context length is only|is too large: \d+|cannot be greater than/i;

/** From the status of a response that is not 2xx, and the beginning of its body. */
export function failureOfStatus(status: number, body: string): EngineFailure {
  const message = `The engine answered ${status}.`;
  if (status === 400 && CONTEXT_LENGTH.test(body)) {
    return failure('context_length_exceeded', {
      message: 'The prompt and max_tokens exceed the context window of the engine.',
      retryable: false,
    });
  }
  if (status === 429 || status === 503) {
    return failure('upstream_error', { message, retryable: true, burnsAttempt: false });
  }
  if (REQUEST_REFUSED.has(status)) {
    return failure('upstream_rejected', {
      message: `The engine refused the request with ${status}.`,
      retryable: false,
    });
  }
  // Below 500, our address, key or model name is wrong, not the client's request.
  return failure('upstream_error', { message, retryable: status >= 500 });
}

/** The request itself is at fault: it is not valid, too large, or not what the model can do. */
const REQUEST_REFUSED: ReadonlySet<number> = new Set([400, 413, 422, 501]);

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
  return failure('upstream_error', {
    message: 'The engine reported an error inside its answer.',
    retryable: true,
  });
}

/** From a connection that could not be made, or broke. */
export function failureOfConnection(
  error: Error,
  { wasSent }: { wasSent: boolean },
): EngineFailure {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  if (wasSent) {
    return failure('upstream_error', {
      message: `The engine broke off (${code}).`,
      retryable: true,
    });
  }
  return {
    ...failure('upstream_error', {
      message: `The engine cannot be reached (${code}).`,
      retryable: true,
      burnsAttempt: false,
    }),
    engineGone: true,
  };
}

export function failureOfTimeout(
  phase: 'headers' | 'first token' | 'idle',
  ms: number,
): EngineFailure {
  return failure('upstream_timeout', {
    message: `The engine exceeded its ${phase} timeout of ${ms} ms.`,
    retryable: true,
  });
}

/** The stream ended, and not with a reason that means a whole answer. */
export function failureOfEnding(finishReason: string | null): EngineFailure {
  return failure('upstream_error', {
    message: `The engine ended its answer with ${nameOfEnding(finishReason)}.`,
    retryable: true,
  });
}

function nameOfEnding(finishReason: string | null): string {
  if (finishReason === null) return 'no finish reason';
  return BROKEN_ENDINGS.has(finishReason) ? `"${finishReason}"` : 'an unknown finish reason';
}

/** What engines are known to say when they did not finish. */
const BROKEN_ENDINGS: ReadonlySet<string> = new Set(['abort', 'error', 'repetition']);

export function failureOfProtocol(message: string): EngineFailure {
  return failure('upstream_error', { message, retryable: true });
}

function failure(
  code: ErrorCode,
  {
    message,
    retryable,
    burnsAttempt = true,
  }: { message: string; retryable: boolean; burnsAttempt?: boolean },
): EngineFailure {
  return { code, message, retryable, burnsAttempt, engineGone: false };
}
