/**
 * The client of one OpenAI-compatible engine. It always streams, and judges success by content: an
 * answer is whole only with a legal finish reason and a clean end, whatever the status said.
 */
import { finishReasonSchema } from '@qarr/router-core';
import type { EngineRequest, FinishReason, Usage } from '@qarr/router-core';
import { createParser } from 'eventsource-parser';
import { Agent } from 'undici';
import type { Dispatcher } from 'undici';
import type { EngineTimeouts } from './config.ts';
import { parseChunk } from './engine-chunk.ts';
import type { EngineChunk } from './engine-chunk.ts';
import {
  failureOfConnection,
  failureOfEnding,
  failureOfErrorEvent,
  failureOfProtocol,
  failureOfStatus,
  failureOfTimeout,
} from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import { createWatchdog } from './watchdog.ts';

/** One event of a stream; an engine's chunk is some 250 bytes. */
const EVENT_CHARS_MAX = 1_048_576;
/** Of an error's body, to recognise it. */
const ERROR_BODY_BYTES_MAX = 65_536;
/** After `[DONE]` the response shall end; an engine that forgets to loses the connection. */
const AFTER_DONE_MS = 1_000;
/** vLLM closes idle connections after 5 s: let go before it does. */
const KEEP_ALIVE_MS = 4_000;

export interface EngineOutcome {
  /** The last count that the engine gave, or null where it gives none. */
  readonly usage: Usage | null;
  readonly ending:
    | { kind: 'whole'; finishReason: FinishReason }
    | { kind: 'failed'; failure: EngineFailure }
    | { kind: 'aborted' };
}

export interface Engine {
  /** Runs one request. Never rejects; `signal` closes the connection, which frees the engine. */
  run(
    request: EngineRequest,
    options: {
      model: string;
      requestId: string;
      countsContinuously: boolean;
      signal: AbortSignal;
      onDelta: (delta: { text: string; reasoning: string }) => void;
    },
  ): Promise<EngineOutcome>;
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
    run(request, { model, requestId, countsContinuously, signal, onDelta }) {
      const { promise, resolve } = Promise.withResolvers<EngineOutcome>();
      if (signal.aborted) return Promise.resolve({ usage: null, ending: { kind: 'aborted' } });

      const body = JSON.stringify({
        ...request,
        model,
        stream: true,
        stream_options: countsContinuously
          ? { include_usage: true, continuous_usage_stats: true }
          : { include_usage: true },
      });
      const watchdog = createWatchdog(timeouts, (phase, ms) => fail(failureOfTimeout(phase, ms)));
      const parser = createParser({
        maxBufferSize: EVENT_CHARS_MAX,
        onEvent: ({ data }) => onEvent(data),
        onError(error) {
          if (error.type === 'max-buffer-size-exceeded') {
            fail(failureOfProtocol('The engine sent an event of more than 1 MB.'));
          }
        },
      });
      const decoder = new TextDecoder();
      let controller: Dispatcher.DispatchController | null = null;
      let status = 0;
      let errorBody = '';
      let finishReason: string | null = null;
      let usage: Usage | null = null;
      let isSettled = false;
      let afterDone: NodeJS.Timeout | undefined;

      function settle(ending: EngineOutcome['ending']): void {
        if (isSettled) return;
        isSettled = true;
        watchdog.stop();
        signal.removeEventListener('abort', onAbort);
        resolve({ usage, ending });
      }
      function fail(failure: EngineFailure): void {
        settle({ kind: 'failed', failure });
        controller?.abort(new Error('given up'));
      }
      function onAbort(): void {
        settle({ kind: 'aborted' });
        controller?.abort(new Error('aborted'));
      }
      /** The stream is over, by its own word or by the end of the response. */
      function onEnd(): void {
        const legal = finishReasonSchema.safeParse(finishReason);
        if (legal.success) settle({ kind: 'whole', finishReason: legal.data });
        else fail(failureOfEnding(finishReason));
      }
      function onEvent(data: string): void {
        if (isSettled) return;
        if (data === '[DONE]') {
          afterDone = setTimeout(() => controller?.abort(new Error('done')), AFTER_DONE_MS);
          return onEnd();
        }
        onChunk(parseChunk(data));
      }
      function onChunk(chunk: EngineChunk): void {
        if (chunk.kind === 'malformed') {
          return fail(failureOfProtocol('The engine sent an event that is not a chunk.'));
        }
        if (chunk.kind === 'error') return fail(failureOfErrorEvent(chunk.status));
        usage = chunk.usage ?? usage;
        finishReason = chunk.finishReason ?? finishReason;
        if (chunk.text === '' && chunk.reasoning === '') return;
        watchdog.sawText();
        onDelta({ text: chunk.text, reasoning: chunk.reasoning });
      }

      signal.addEventListener('abort', onAbort);
      agent.dispatch(
        {
          origin,
          path,
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            accept: 'text/event-stream',
            'x-request-id': requestId,
            ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
          },
          body,
        },
        {
          onRequestStart(current) {
            controller = current;
            if (isSettled) current.abort(new Error('aborted'));
          },
          onResponseStart(_controller, statusCode) {
            status = statusCode;
            watchdog.sawHeaders();
          },
          onResponseData(_controller, chunk) {
            if (isSettled) return;
            watchdog.sawBytes();
            if (isSuccess(status)) parser.feed(decoder.decode(chunk, { stream: true }));
            else if (errorBody.length < ERROR_BODY_BYTES_MAX) errorBody += chunk.toString('utf8');
          },
          onResponseEnd() {
            clearTimeout(afterDone);
            if (isSuccess(status)) onEnd();
            else fail(failureOfStatus(status, errorBody));
          },
          onResponseError(_controller, error) {
            clearTimeout(afterDone);
            fail(failureOfConnection(error, { hasHeaders: status !== 0 }));
          },
        },
      );
      return promise;
    },

    async stop() {
      await agent.destroy();
    },
  };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
