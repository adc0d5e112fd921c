/**
 * Writing server-sent events. A reader that does not keep up is waited for, not buffered for: the
 * writer takes nothing more from its source until the socket has drained.
 *
 * There may be ten thousand streams, nearly all of them idle: what each holds is kept small.
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { HttpLimits } from './config.ts';
import { createHeartbeats } from './heartbeats.ts';
import type { Heartbeats } from './heartbeats.ts';
import type { ApiMetrics } from './metrics.ts';

/**
 * A comment with ONE newline: it belongs to the event that follows. An empty line after it would
 * end an event without data, on which OpenAI's Python client fails.
 */
const HEARTBEAT = ': hb\n';

export interface EventStream {
  /** Aborted when the reader is gone, or when the server ends what is open. */
  readonly signal: AbortSignal;
  /** Resolves when more can be written. */
  write(text: string): Promise<void>;
  /** Ends the response after what was written, for which a reader that is stuck is not waited. */
  close(): void;
}

export interface EventStreams {
  /** Takes over the reply: status 200 and headers leave at once. */
  open(reply: FastifyReply): EventStream;
  stop(): void;
}

export function createEventStreams({
  limits,
  metrics,
  over,
}: {
  limits: Pick<HttpLimits, 'heartbeatMs' | 'readerStuckMs'>;
  metrics: Pick<ApiMetrics, 'streamOpened' | 'streamClosed'>;
  /** Aborted when what is open must end; a goodbye can still be written. */
  over: AbortSignal;
}): EventStreams {
  const streams = new Set<Stream>();
  const heartbeats = createHeartbeats<Stream>({
    everyMs: limits.heartbeatMs,
    beat: (stream) => stream.beat(),
  });
  const context: Context = {
    readerStuckMs: limits.readerStuckMs,
    heartbeats,
    onGone(stream) {
      streams.delete(stream);
      metrics.streamClosed();
    },
  };
  over.addEventListener('abort', () => {
    for (const stream of streams) stream.end();
  });

  return {
    open(reply) {
      metrics.streamOpened();
      reply.hijack();
      const response = reply.raw;
      response.writeHead(200, {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
      });
      // Sent by themselves, the headers are kept as one string, not as the many they were made of.
      response.flushHeaders();
      const stream = new Stream(response, context);
      streams.add(stream);
      stream.begin();
      if (over.aborted) stream.end();
      return stream;
    },
    stop: () => heartbeats.stop(),
  };
}

interface Context {
  readonly readerStuckMs: number;
  readonly heartbeats: Heartbeats<Stream>;
  onGone(stream: Stream): void;
}

class Stream implements EventStream {
  readonly #response: ServerResponse;
  readonly #context: Context;
  readonly #leaving = new AbortController();
  #isGone = false;

  constructor(response: ServerResponse, context: Context) {
    this.#response = response;
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#leaving.signal;
  }

  begin(): void {
    // Some proxies forward headers only together with the first bytes.
    this.#response.write(HEARTBEAT);
    this.#context.heartbeats.add(this);
    if (this.#response.destroyed) this.#leave();
    else this.#response.once('close', () => this.#leave());
  }

  beat(): void {
    if (!this.#response.writableNeedDrain) this.#response.write(HEARTBEAT);
  }

  end(): void {
    this.#leaving.abort();
  }

  async write(text: string): Promise<void> {
    if (text === '' || this.#isGone) return;
    // As bytes: for a string that waits, Node sets three bytes aside for each character.
    if (this.#response.write(Buffer.from(text))) return;
    const { socket } = this.#response;
    // Node destroys a socket that has taken none of what waits for so long.
    socket?.setTimeout(this.#context.readerStuckMs);
    await once(this.#response, 'drain', { signal: this.#leaving.signal }).catch(() => {});
    socket?.setTimeout(0);
  }

  close(): void {
    this.#context.heartbeats.remove(this);
    if (this.#isGone) return;
    this.#response.end();
    // When all is on its way, Node sets the time of an idle connection instead.
    this.#response.socket?.setTimeout(this.#context.readerStuckMs);
  }

  #leave(): void {
    this.#isGone = true;
    this.#context.heartbeats.remove(this);
    this.#context.onGone(this);
    this.#leaving.abort();
  }
}
