/**
 * Sends one request and follows it to its end, as a client does: a chat by its own stream, a job by
 * the stream of its events.
 */
import { request } from 'node:http';
import type { Agent, IncomingMessage } from 'node:http';
import { createEventReader } from './event-reader.ts';
import { bodyOf, pathOf, tenantHeaders } from './mix.ts';
import type { Wish } from './mix.ts';
import { nowMs } from './outcome.ts';
import type { Outcome } from './outcome.ts';

export interface ClientDeps {
  readonly agent: Agent;
  /** Aborted when the experiment is over: what is open then, ends as `open`. */
  readonly over: AbortSignal;
}

export interface SentRequest {
  readonly wish: Wish;
  readonly dueMs: number;
  readonly apiUrl: string;
}

type Draft = { -readonly [Key in keyof Outcome]: Outcome[Key] };

/** Never rejects. */
export async function runRequest(
  { wish, dueMs, apiUrl }: SentRequest,
  deps: ClientDeps,
): Promise<Outcome> {
  const draft: Draft = { ...blank(wish, dueMs), sentMs: nowMs() };
  const body = JSON.stringify(bodyOf(wish));
  try {
    const response = await open(`${apiUrl}${pathOf(wish)}`, body, wish, deps);
    readHeaders(response, draft);
    const isStream = response.headers['content-type']?.startsWith('text/event-stream') === true;
    if (response.statusCode === 200 && isStream) {
      draft.answeredMs = nowMs();
      draft.end = 'cut';
      await readEvents(response, (event, data) => noteChunk(draft, event, data));
      return draft;
    }
    const answer = parse(await textOf(response));
    draft.answeredMs = nowMs();
    if (response.statusCode !== 202) {
      draft.end = 'refused';
      draft.code = codeOf(answer) ?? 'unknown';
      return draft;
    }
    draft.estimatedWaitMs = numberIn(answer['estimated_wait_ms']);
    draft.jobId ??= textIn(answer['id']);
    draft.end = 'cut';
    const { events } = (answer['urls'] ?? {}) as { events?: unknown };
    const stream = await open(String(events), null, wish, deps);
    await readEvents(stream, (event, data) => noteEvent(draft, event, data));
  } catch {
    // The connection broke, or the experiment is over: what is known by then counts.
  }
  if (deps.over.aborted && draft.end === 'cut') draft.end = 'open';
  return draft;
}

export function blank(wish: Wish, dueMs: number): Outcome {
  return {
    wish,
    dueMs,
    sentMs: dueMs,
    answeredMs: null,
    firstTokenMs: null,
    endedMs: null,
    end: 'unanswered',
    status: null,
    code: null,
    retryAfterMs: null,
    jobId: null,
    servedTier: null,
    fallback: null,
    reroutes: 0,
    estimatedWaitMs: null,
    queueWaitMs: null,
  };
}

function open(
  url: string,
  body: string | null,
  wish: Wish,
  { agent, over }: ClientDeps,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sending = request(
    url,
    {
      agent,
      signal: over,
      method: body === null ? 'GET' : 'POST',
      headers: {
        ...tenantHeaders(wish.tenant),
        ...(body === null
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      },
    },
    resolve,
  );
  sending.once('error', reject);
  sending.end(body ?? undefined);
  return promise;
}

function readHeaders({ statusCode, headers }: IncomingMessage, draft: Draft): void {
  draft.status = statusCode ?? null;
  draft.jobId = textIn(headers['x-qarr-job']);
  draft.servedTier = textIn(headers['x-qarr-tier']);
  draft.fallback = textIn(headers['x-qarr-fallback']);
  const seconds = headers['retry-after'] === undefined ? null : Number(headers['retry-after']);
  const ms = headers['retry-after-ms'] === undefined ? null : Number(headers['retry-after-ms']);
  draft.retryAfterMs = ms ?? (seconds === null ? null : seconds * 1_000);
}

async function readEvents(
  response: IncomingMessage,
  onEvent: (event: string, data: string) => void,
): Promise<void> {
  const read = createEventReader(onEvent);
  response.setEncoding('utf8');
  for await (const text of response) read(text as string);
}

/** A piece of a streamed chat. */
function noteChunk(draft: Draft, _event: string, data: string): void {
  if (data === '[DONE]') {
    // The one after an error is none.
    if (draft.end === 'cut') end(draft, 'done');
    return;
  }
  const chunk = parse(data);
  const code = codeOf(chunk);
  if (code !== null) {
    draft.code = code;
    end(draft, code === 'queue_timeout' ? 'expired' : 'failed');
    return;
  }
  const choices = chunk['choices'] as { delta?: { content?: unknown } }[] | undefined;
  const text = choices?.[0]?.delta?.content;
  if (typeof text === 'string' && text !== '') draft.firstTokenMs ??= nowMs();
}

/** An event of a job. */
function noteEvent(draft: Draft, event: string, data: string): void {
  switch (event) {
    case 'delta':
      draft.firstTokenMs ??= nowMs();
      return;
    case 'rerouted':
      draft.reroutes += 1;
      return;
    case 'completed': {
      const { timings } = parse(data) as { timings?: { queue_wait_ms?: unknown } };
      draft.queueWaitMs = numberIn(timings?.queue_wait_ms);
      return end(draft, 'done');
    }
    case 'expired':
    case 'failed':
    case 'cancelled':
      draft.code = codeOf(parse(data)) ?? event;
      return end(draft, event === 'expired' ? 'expired' : 'failed');
    default:
    // Not the end, and nothing that is measured.
  }
}

function end(draft: Draft, how: 'done' | 'expired' | 'failed'): void {
  draft.end = how;
  draft.endedMs = nowMs();
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part as string;
  return text;
}

function parse(json: string): Record<string, unknown> {
  try {
    return JSON.parse(json) as Record<string, unknown>;
  } catch {
    // No answer of the API.
    return {};
  }
}

function codeOf(body: Record<string, unknown>): string | null {
  const { error } = body as { error?: { code?: unknown } };
  return textIn(error?.code);
}

function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
