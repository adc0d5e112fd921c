/**
 * Writing server-sent events. A reader that does not keep up is waited for, not buffered for: the
 * writer takes nothing more from its source until the socket has drained.
 *
 * There may be ten thousand streams, nearly all of them idle: what each holds is kept small.
 */
import type { FastifyReply } from 'fastify';
import type { HttpLimits } from './config.ts';
import type { Drain } from './drain.ts';
import { createHeartbeats } from './heartbeats.ts';
import type { Heartbeats } from './heartbeats.ts';
import type { ApiMetrics } from './metrics.ts';
import { takeSpan } from './request-span.ts';
import { createStreamBody } from './stream-body.ts';
import type { StreamBody } from './stream-body.ts';

/**
 * A comment with ONE newline: it belongs to the event that follows. An empty line after it would
 * end an event without data, on which OpenAI's Python client fails.
 */
const HEARTBEAT = ': hb\n';

/** An error of its own for each of many thousand signals would cost more than the stream's end. */
const GONE = new Error('The stream is over');

/** Nearly every write ends with it. */
const WRITTEN = Promise.resolve();

export interface EventStream {
  /** Aborted when the reader is gone, or when the server ends what is open. */
  readonly signal: AbortSignal;
  /** Resolves when more can be written. */
  write(text: string): Promise<void>;
  /** Writes what may as well be left out, and is, while the reader is behind. */
  mention(text: string): void;
  /** Writes this and ends the response, for which a reader that is stuck is not waited. */
  close(last?: string): void;
}

export interface EventStreams {
  /**
   * Takes over the reply: status 200 and headers leave at once. Whoever goes on writing should keep
   * neither the request nor the reply: they are all that is left of what the server had for them.
   */
  open(reply: FastifyReply): EventStream;
  /** Closes what is still open, also where a reader is stuck. */
  stop(): void;
}

export function createEventStreams({
  limits,
  metrics,
  drain,
}: {
  limits: Pick<HttpLimits, 'heartbeatMs' | 'readerStuckMs'>;
  metrics: Pick<ApiMetrics, 'streamOpened' | 'streamClosed'>;
  /** When it is over, what is open must end; a goodbye can still be written. */
  drain: Pick<Drain, 'enter' | 'isStopping' | 'over'>;
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
  drain.over.addEventListener('abort', () => {
    for (const stream of streams) stream.end();
  });

  return {
    open(reply) {
      metrics.streamOpened();
      reply.hijack();
      const headers = {
        ...(reply.getHeaders() as Record<string, string>),
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
      };
      const body = createStreamBody(reply.raw, {
        headers,
        // Some proxies forward headers only together with the first bytes.
        first: HEARTBEAT,
        isLast: drain.isStopping,
      });
      const stream = new Stream(body, {
        context,
        leaveDrain: drain.enter(),
        endSpan: takeSpan(reply),
      });
      streams.add(stream);
      stream.begin();
      if (drain.over.aborted) stream.end();
      return stream;
    },
    stop() {
      heartbeats.stop();
      for (const stream of streams) stream.destroy();
    },
  };
}

interface Context {
  readonly readerStuckMs: number;
  readonly heartbeats: Heartbeats<Stream>;
  onGone(stream: Stream): void;
}

/** What is to be told that a stream is over. */
interface Ends {
  readonly leaveDrain: () => void;
  readonly endSpan: ((end: { hasLeft: boolean }) => void) | null;
}

class Stream implements EventStream {
  readonly #body: StreamBody;
  readonly #context: Context;
  readonly #ends: Ends;
  readonly #leaving = new AbortController();
  #isGone = false;
  #isClosed = false;

  constructor(body: StreamBody, { context, ...ends }: Ends & { context: Context }) {
    this.#body = body;
    this.#context = context;
    this.#ends = ends;
  }

  get signal(): AbortSignal {
    return this.#leaving.signal;
  }

  begin(): void {
    this.#context.heartbeats.add(this);
    this.#body.onClose(() => this.#leave());
  }

  beat(): void {
    this.mention(HEARTBEAT);
  }

  mention(text: string): void {
    if (!this.#isGone && !this.#body.needsDrain) this.#body.write(text);
  }

  end(): void {
    this.#leaving.abort(GONE);
  }

  write(text: string): Promise<void> {
    if (text === '' || this.#isGone || this.#body.write(text)) return WRITTEN;
    return this.#waitForReader();
  }

  async #waitForReader(): Promise<void> {
    // Node destroys a socket that has taken none of what waits for so long.
    this.#body.setTimeout(this.#context.readerStuckMs);
    await this.#body.drained(this.#leaving.signal);
    this.#body.setTimeout(0);
  }

  close(last = ''): void {
    this.#context.heartbeats.remove(this);
    if (this.#isGone) return;
    this.#isClosed = true;
    this.#body.end(last);
    // When all is on its way, Node sets the time of an idle connection instead.
    this.#body.setTimeout(this.#context.readerStuckMs);
  }

  destroy(): void {
    this.#isClosed = true;
    this.end();
    this.#body.destroy();
  }

  #leave(): void {
    this.#isGone = true;
    this.#context.heartbeats.remove(this);
    this.#context.onGone(this);
    this.#ends.leaveDrain();
    this.#ends.endSpan?.({ hasLeft: !this.#isClosed });
    // Whoever has closed it waits for nothing more of it.
    if (!this.#isClosed) this.end();
  }
}
