/**
 * The client of one OpenAI-compatible engine. It always streams, and judges success by content: an
 * answer is whole only with a legal finish reason and a clean end, whatever the status said.
 */
import type { EngineRequest, Usage } from '@qarr/router-core';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import { createAnswerReader } from './answer-reader.ts';
import type { AnswerEnding } from './answer-reader.ts';
import type { EngineTimeouts } from './config.ts';
import { failureOfConnection, failureOfStatus, failureOfTimeout } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import { createWatchdog } from './watchdog.ts';

/** Of an error's body, to recognise it. */
const ERROR_BODY_CHARS_MAX = 65_536;
/** After `[DONE]` the response shall end; an engine that forgets to loses the connection. */
const AFTER_DONE_MS = 1_000;
/** vLLM closes idle connections after 5 s: let go before it does. */
const KEEP_ALIVE_MS = 4_000;

export interface EngineOutcome {
  /** The last count that the engine gave, or null where it gives none. */
  readonly usage: Usage | null;
  readonly ending: AnswerEnding | { kind: 'aborted' };
}

export interface RunOptions {
  readonly model: string;
  readonly requestId: string;
  readonly countsContinuously: boolean;
  /** Closes the connection, which frees the engine. */
  readonly signal: AbortSignal;
  readonly onDelta: (delta: { text: string; reasoning: string }) => void;
}

export interface Engine {
  /** Runs one request. Never rejects. */
  run(request: EngineRequest, options: RunOptions): Promise<EngineOutcome>;
  stop(): Promise<void>;
}

export function createEngine({
  baseUrl,
  apiKey,
  timeouts,
  connections,
}: {
  /** Without a final `/v1`. */
  baseUrl: string;
  apiKey: string | undefined;
  timeouts: EngineTimeouts;
  connections: number;
}): Engine {
  const { origin, pathname } = new URL(baseUrl);
  const path = `${pathname.replace(/\/$/, '')}/v1/chat/completions`;
  const authorization = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const agent = new Agent({
    connections,
    pipelining: 1,
    connect: { timeout: timeouts.connectMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    // Our own watchdog, which knows what it waits for.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  return {
    run(request, options) {
      if (options.signal.aborted)
        return Promise.resolve({ usage: null, ending: { kind: 'aborted' } });
      const { handler, outcome } = createExchange({ ...options, timeouts });
      const headers = {
        'content-type': 'application/json',
        accept: 'text/event-stream',
        'x-request-id': options.requestId,
        ...authorization,
      };
      const body = requestBody(request, options);
      agent.dispatch({ origin, path, method: 'POST', headers, body }, handler);
      return outcome;
    },

    async stop() {
      await agent.destroy();
    },
  };
}

function requestBody(
  request: EngineRequest,
  { model, countsContinuously }: Pick<RunOptions, 'model' | 'countsContinuously'>,
): string {
  const streamOptions = countsContinuously
    ? { include_usage: true, continuous_usage_stats: true }
    : { include_usage: true };
  return JSON.stringify({ ...request, model, stream: true, stream_options: streamOptions });
}

/**
 * One request and its response. It settles once: by its answer, by a failure, by its watchdog or by
 * the caller's signal. Whatever settles it before the response has ended closes the connection.
 */
function createExchange({
  signal,
  onDelta,
  timeouts,
}: Pick<RunOptions, 'signal' | 'onDelta'> & { timeouts: EngineTimeouts }): {
  handler: Dispatcher.DispatchHandler;
  outcome: Promise<EngineOutcome>;
} {
  const { promise: outcome, resolve } = Promise.withResolvers<EngineOutcome>();
  const watchdog = createWatchdog(timeouts, (phase, ms) => onBroken(failureOfTimeout(phase, ms)));
  const reader = createAnswerReader({
    onDelta,
    onChunk: watchdog.sawChunk,
    isStopped: () => isSettled,
  });
  /** Null until the request has a connection. */
  let controller: Dispatcher.DispatchController | null = null;
  /** 0 until the headers have come. */
  let status = 0;
  let errorBody = '';
  let isSettled = false;
  let afterDone: NodeJS.Timeout | undefined;

  function settle(ending: EngineOutcome['ending']): void {
    if (isSettled) return;
    isSettled = true;
    watchdog.stop();
    signal.removeEventListener('abort', onAbort);
    resolve({ usage: reader.usage, ending });
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
    fail(hasRefused ? failureOfStatus(status, errorBody) : failure);
  }
  function onErrorBody(chunk: Buffer): void {
    errorBody += chunk.toString('utf8');
    if (errorBody.length >= ERROR_BODY_CHARS_MAX) fail(failureOfStatus(status, errorBody));
  }

  signal.addEventListener('abort', onAbort);
  const handler: Dispatcher.DispatchHandler = {
    onRequestStart(current) {
      controller = current;
      if (isSettled) close();
    },
    onResponseStart(_controller, statusCode) {
      // 1xx only announces the answer.
      if (statusCode < 200) return;
      status = statusCode;
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
      else fail(failureOfStatus(status, errorBody));
    },
    onResponseError(_controller, error) {
      clearTimeout(afterDone);
      onBroken(failureOfConnection(error, { wasSent: controller !== null }));
    },
  };
  return { handler, outcome };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
