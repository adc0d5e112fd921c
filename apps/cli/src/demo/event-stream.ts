/** One connection to a stream of server-sent events. */
import { createParser } from 'eventsource-parser';
import type { EventSourceMessage } from 'eventsource-parser';
import { CliError } from '../cli-error.ts';

/** Heartbeats come far more often than this. */
const SILENCE_MS_MAX = 60_000;
/** An event is one batch of text, or one job's result. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/**
 * Yields each event; ends when the server ends the stream. Throws what broke the connection, a
 * CliError when the server refuses it.
 */
export async function* readEventStream({
  url,
  lastEventId,
  signal,
}: {
  url: string;
  /** Empty: from the first event. */
  lastEventId: string;
  signal: AbortSignal;
}): AsyncGenerator<EventSourceMessage> {
  const silence = new AbortController();
  const timer = setTimeout(() => {
    silence.abort(new Error(`nothing came for ${SILENCE_MS_MAX / 1000} s`));
  }, SILENCE_MS_MAX);
  try {
    const response = await fetch(url, {
      headers: {
        accept: 'text/event-stream',
        ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }),
      },
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel();
      throw new CliError(`GET ${url} answered ${response.status}`);
    }
    const messages: EventSourceMessage[] = [];
    const parser = createParser({
      onEvent: (message) => messages.push(message),
      maxBufferSize: EVENT_CHARS_MAX,
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body) {
      timer.refresh();
      parser.feed(decoder.decode(chunk, { stream: true }));
      yield* messages.splice(0);
    }
  } finally {
    clearTimeout(timer);
  }
}
