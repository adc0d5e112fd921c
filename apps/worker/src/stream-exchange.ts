/**
 * One request to an engine and its streamed response. It settles once: by its answer, by a failure,
 * by its watchdog or by the caller's signal. Whatever settles it before the response has ended
 * closes the connection, which frees the engine.
 */
import type { Usage } from '@qarr/router-core';
import type { AnswerDelta } from '@qarr/job-store';
import type { Dispatcher } from 'undici';
import { createAnswerReader } from './answer-reader.ts';
import type { AnswerEnding, Counting } from './answer-reader.ts';
import type { EngineTimeouts } from './config.ts';
import { isVisible } from './engine-chunk.ts';
import { failureOfConnection, failureOfStatus, failureOfTimeout } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import { createWatchdog } from './watchdog.ts';

/** Of an error's body, to recognise it. */
const ERROR_BODY_CHARS_MAX = 65_536;
/** After `[DONE]` the response shall end; an engine that forgets to loses the connection. */
const AFTER_DONE_MS = 1_000;

export interface StreamOutcome {
  /** The last count that the engine gave, or null where it gives none. */
  readonly usage: Usage | null;
  readonly ending: AnswerEnding | { kind: 'aborted' };
  /** The stop string that ended the answer, where the engine says so. */
  readonly stopString?: string | undefined;
}

export interface StreamExchange {
  readonly handler: Dispatcher.DispatchHandler;
  readonly outcome: Promise<StreamOutcome>;
}

export function createStreamExchange({
  choices,
  tokensMax,
  counting,
  isRaw,
  timeouts,
  signal,
  onDelta,
}: {
  choices: number;
  /** Of each choice. */
  tokensMax: number;
  counting: Counting;
  /** The prompt has no template: see `failureOfStatus`. */
  isRaw: boolean;
  timeouts: EngineTimeouts;
  signal: AbortSignal;
  onDelta: (delta: AnswerDelta) => void;
}): StreamExchange {
  const { promise: outcome, resolve } = Promise.withResolvers<StreamOutcome>();
  const watchdog = createWatchdog(timeouts, (phase, ms) => onBroken(failureOfTimeout(phase, ms)));
  const reader = createAnswerReader({
    choices,
    tokensMax,
    counting,
    onDelta(delta) {
      hasText ||= isVisible(delta);
      onDelta(delta);
    },
    onChunk: watchdog.sawChunk,
    isStopped: () => isSettled,
  });
  /** Null until the request has a connection. */
  let controller: Dispatcher.DispatchController | null = null;
  /** 0 until the headers have come. */
  let status = 0;
  let retryAfter: string | undefined;
  let errorBody = '';
  let hasText = false;
  let isSettled = false;
  let afterDone: NodeJS.Timeout | undefined;

  function settle(ending: StreamOutcome['ending']): void {
    if (isSettled) return;
    isSettled = true;
    watchdog.stop();
    signal.removeEventListener('abort', onAbort);
    resolve({ usage: reader.usage, ending, stopString: reader.stopString });
  }

  function fail(failure: EngineFailure): void {
    settle({ kind: 'failed', failure });
    close();
  }

  function onAbort(): void {
    settle({ kind: 'aborted' });
    close();
  }

  function close(): void {
    controller?.abort(new Error('no longer wanted'));
  }

  /** The response will not come, or not to its end. A status that refuses has said enough. */
  function onBroken(failure: EngineFailure): void {
    const hasRefused = status !== 0 && !isSuccess(status);
    fail(hasRefused ? refusal() : failure);
  }

  function refusal(): EngineFailure {
    return failureOfStatus(status, errorBody, { retryAfter, isRaw });
  }

  function onErrorBody(chunk: Buffer): void {
    errorBody += chunk.toString('utf8');
    if (errorBody.length >= ERROR_BODY_CHARS_MAX) fail(refusal());
  }

  signal.addEventListener('abort', onAbort);
  if (signal.aborted) onAbort();

  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(current) {
      controller = current;
      if (isSettled) close();
    },
    onResponseStart(_controller, statusCode, headers) {
      // 1xx only announces the answer.
      if (statusCode < 200) return;
      status = statusCode;
      retryAfter = headers['retry-after']?.toString();
      watchdog.sawHeaders();
    },
    onResponseData(_controller, chunk) {
      if (isSettled) return;
      if (!isSuccess(status)) return onErrorBody(chunk);
      const ending = reader.read(chunk);
      if (ending === null) return;
      if (ending.kind === 'failed') return fail(ending.failure);
      settle(ending);
      afterDone = setTimeout(close, AFTER_DONE_MS);
    },
    onResponseEnd() {
      clearTimeout(afterDone);
      if (isSettled) return;
      if (isSuccess(status)) settle(reader.end());
      else fail(refusal());
    },
    onResponseError(_controller, error) {
      clearTimeout(afterDone);
      onBroken(failureOfConnection(codeOf(error), { reached: reached() }));
    },
  };

  function reached(): 'nobody' | 'no answer' | 'text' {
    if (controller === null) return 'nobody';
    return hasText ? 'text' : 'no answer';
  }

  return { handler, outcome };
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name;
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
