/**
 * The client of one OpenAI-compatible engine. It always streams, and judges success by content: an
 * answer is whole only with a legal finish reason per choice, whatever the status said.
 *
 * A task is an answer to begin, or one to carry on where another engine or worker has left it.
 */
import { isRaw } from '@qarr/router-core';
import type { EngineRequest, Usage } from '@qarr/router-core';
import type { AnswerDelta, SoFar } from '@qarr/job-store';
import { Agent } from 'undici';
import type { AnswerEnding, Counting } from './answer-reader.ts';
import type { Capabilities } from './capabilities.ts';
import type { EngineTimeouts } from './config.ts';
import { isContinuable, planContinuation } from './continuation.ts';
import { pathOf } from './engine-route.ts';
import { createStreamExchange } from './stream-exchange.ts';
import type { StreamOutcome } from './stream-exchange.ts';
import { failureOfContinuation } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import { createJoint } from './joint.ts';
import { createTokenizer } from './tokenizer.ts';
import { createExchanges } from './upstream/exchange.ts';

/** vLLM closes idle connections after 5 s: let go before it does. */
const KEEP_ALIVE_MS = 4_000;

interface EngineTask {
  readonly request: EngineRequest;
  /** What was published of the answer; null when it begins here. */
  readonly soFar: SoFar | null;
}

export interface EngineOutcome {
  /** Of the whole answer, earlier attempts included; null where the engine does not tell. */
  readonly usage: Usage | null;
  readonly ending: AnswerEnding | { kind: 'aborted' };
}

export interface RunOptions {
  readonly model: string;
  readonly requestId: string;
  /** W3C trace context of this attempt. */
  readonly traceparent?: string | undefined;
  readonly capabilities: Capabilities;
  /** Closes the connection, which frees the engine. */
  readonly signal: AbortSignal;
  readonly onDelta: (delta: AnswerDelta) => void;
}

interface Streamed {
  readonly path: string;
  readonly body: object;
  readonly request: EngineRequest;
  readonly counting: Counting;
}

export interface Engine {
  /** Runs one task. Never rejects. */
  run(task: EngineTask, options: RunOptions): Promise<EngineOutcome>;
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
  const prefix = pathname.replace(/\/$/, '');
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
  const exchanges = createExchanges({ baseUrl, apiKey, connectMs: timeouts.connectMs });
  const tokenizer = createTokenizer({ exchanges, timeoutMs: timeouts.headersMs });

  function stream(
    { path, body, request, counting }: Streamed,
    { requestId, traceparent, capabilities, signal, onDelta }: RunOptions,
  ): Promise<StreamOutcome> {
    const { handler, outcome } = createStreamExchange({
      choices: request.n ?? 1,
      tokensMax: request.max_tokens,
      counting,
      isRaw: isRaw(request),
      timeouts,
      signal,
      onDelta,
    });
    const headers = {
      'content-type': 'application/json',
      accept: 'text/event-stream',
      'accept-encoding': 'identity',
      'x-request-id': requestId,
      ...(traceparent === undefined ? {} : { traceparent }),
      ...authorization,
    };
    const text = JSON.stringify({ ...body, ...streamFields(capabilities) });
    agent.dispatch(
      { origin, path: `${prefix}${path}`, method: 'POST', headers, body: text },
      handler,
    );
    return outcome;
  }

  /** Sends the rest of an answer out as if it had never been interrupted. */
  async function carryOn(
    { request, soFar }: { request: EngineRequest; soFar: SoFar },
    options: RunOptions,
  ): Promise<EngineOutcome> {
    const plan = await planContinuation({ request, soFar, options, tokenizer });
    if (options.signal.aborted) return ABORTED;
    if (plan.kind === 'failed') return failedBy(plan.failure);
    if (plan.kind === 'complete') {
      if (plan.text !== '') options.onDelta({ text: plan.text });
      return { usage: plan.usage, ending: { kind: 'whole', finishReasons: ['length'] } };
    }
    const closing = new AbortController();
    const { onDelta } = options;
    const joint = createJoint({ ...plan.joint, onDelta, close: () => closing.abort() });
    const signal = AbortSignal.any([options.signal, closing.signal]);
    // An echo is text that no count knows of.
    const counting = plan.joint.echo === '' ? countingOf(request, options.capabilities) : 'none';
    const outcome = await stream(
      { ...plan, request, counting },
      { ...options, signal, onDelta: joint.push },
    );
    if (outcome.ending.kind === 'whole') joint.flush(outcome.stopString);
    const usage = plan.usageOf(outcome.usage);
    switch (joint.verdict) {
      case 'going on':
        return { usage, ending: outcome.ending };
      case 'stopped':
        return { usage, ending: { kind: 'whole', finishReasons: ['stop'] } };
      case 'other text':
        // It samples, or does not carry on at all. Another attempt may find the same word again.
        return failedBy(failureOfContinuation({ why: 'the engine said other words', mayBe: true }));
      default:
        return joint.verdict satisfies never;
    }
  }

  return {
    async run({ request, soFar }, options) {
      if (options.signal.aborted) return ABORTED;
      if (soFar !== null) return carryOn({ request, soFar }, options);
      const { model } = options;
      const body = { ...request, model };
      const path = pathOf(request);
      const counting = countingOf(request, options.capabilities);
      const outcome = await stream({ path, body, request, counting }, options);
      return { usage: outcome.usage, ending: outcome.ending };
    },

    async stop() {
      await Promise.all([agent.destroy(), exchanges.stop()]);
    },
  };
}

function failedBy(failure: EngineFailure): EngineOutcome {
  return { usage: null, ending: { kind: 'failed', failure } };
}

const ABORTED: EngineOutcome = { usage: null, ending: { kind: 'aborted' } };

function countingOf(request: EngineRequest, capabilities: Capabilities): Counting {
  const { tokenIds, countsContinuously } = capabilities;
  if (!countsContinuously || !isContinuable(request)) return 'none';
  return tokenIds ? 'ids' : 'counts';
}

/** What makes an engine stream, and tell of its tokens as much as it can. */
function streamFields({ countsAtTheEnd, countsContinuously, tokenIds }: Capabilities): object {
  return {
    stream: true,
    ...(countsAtTheEnd
      ? {
          stream_options: {
            include_usage: true,
            ...(countsContinuously ? { continuous_usage_stats: true } : {}),
          },
        }
      : {}),
    ...(tokenIds ? { return_token_ids: true } : {}),
  };
}
