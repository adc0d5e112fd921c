/** One connection to a job's events: it ends when the server ends it, or throws what broke it. */
import { createParser } from 'eventsource-parser';
import type { EventSourceMessage } from 'eventsource-parser';
import type { Http } from './http.ts';
import { badAnswer, isRecord, networkError } from './http.ts';
import type { StreamOptions } from './options.ts';
import { within } from './within.ts';

export type Message =
  /** `seq` is null for what lies in no log. */
  | { readonly kind: 'event'; readonly seq: number | null; readonly event: JsonEvent }
  /** When to come back after the end of this connection. */
  | { readonly kind: 'retry'; readonly ms: number }
  /** The job has ended, and its reader has had all of it. */
  | { readonly kind: 'nothing_follows' };

export type JsonEvent = Record<string, unknown> & { readonly type: string };

export async function* readEventStream({
  http,
  jobId,
  after,
  token,
  silenceMs,
  eventCharsMax,
  signal,
}: {
  http: Http;
  jobId: string;
  after: number;
  token: StreamOptions['token'];
  silenceMs: number;
  eventCharsMax: number;
  signal: AbortSignal | undefined;
}): AsyncGenerator<Message, void, undefined> {
  const connection = new AbortController();
  // Time counts only while something is waited for: a reader may think as long as it likes.
  const limits = { timeoutMs: silenceMs, signal, onStop: () => connection.abort() };

  try {
    // A header of this meaning would cost a browser another request before this one.
    const path = `/v1/jobs/${encodeURIComponent(jobId)}/events?after=${after}`;
    const response = await within(limits, async () => {
      const given = typeof token === 'function' ? await token() : token;
      const shown =
        given === null || given === undefined ? '' : `&token=${encodeURIComponent(given)}`;
      return http.open({
        path: `${path}${shown}`,
        headers: { accept: 'text/event-stream' },
        signal: connection.signal,
      });
    });
    if (response.status === 204 || response.body === null) {
      yield { kind: 'nothing_follows' };
      return;
    }
    const messages: Message[] = [];
    const parser = createParser({
      maxBufferSize: eventCharsMax,
      onEvent: (message) => messages.push(readEvent(message)),
      onRetry: (ms) => messages.push({ kind: 'retry', ms }),
      onError(error) {
        if (error.type === 'max-buffer-size-exceeded') throw badAnswer('An event has no end.');
      },
    });
    /** What stands before a problem is good. */
    const feed = (text: string): unknown => {
      try {
        parser.feed(text);
        return null;
      } catch (error) {
        return error;
      }
    };
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await within(limits, () => reader.read().catch(asNetworkError));
      if (done) return;
      const problem = feed(decoder.decode(value, { stream: true }));
      yield* messages.splice(0);
      if (problem !== null) throw problem;
    }
  } finally {
    connection.abort();
  }
}

function readEvent({ id, event: name, data }: EventSourceMessage): Message {
  const fields = parse(data);
  const event = isRecord(fields) ? { type: name, ...fields } : fields;
  if (!isEvent(event)) throw badAnswer('An event is malformed.');
  if (id === undefined) return { kind: 'event', seq: null, event };
  const seq = /^\d{1,15}$/.test(id) ? Number(id) : 0;
  if (seq === 0) throw badAnswer('An event has no number.');
  return { kind: 'event', seq, event };
}

function isEvent(value: unknown): value is JsonEvent {
  return isRecord(value) && typeof value['type'] === 'string';
}

function asNetworkError(error: unknown): never {
  throw networkError(error);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw badAnswer('An event is malformed.', error);
  }
}
