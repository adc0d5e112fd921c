/**
 * Writing server-sent events. A reader that does not keep up is waited for, not buffered for: the
 * writer takes nothing more from its source until the socket has drained.
 */
import type { FastifyReply } from 'fastify';
import type { HttpLimits } from './config.ts';
import type { ApiMetrics } from './metrics.ts';

/**
 * A comment with ONE newline: it belongs to the event that follows. An empty line after it would
 * end an event without data, on which OpenAI's Python client fails.
 */
const HEARTBEAT = ': hb\n';

export interface EventStream {
  /** Aborted when the reader is gone. */
  readonly signal: AbortSignal;
  /** Resolves when more can be written. */
  write(text: string): Promise<void>;
  /** Ends the response after what was written, for which a reader that is stuck is not waited. */
  close(): void;
}

export interface EventStreamDeps {
  readonly limits: Pick<HttpLimits, 'heartbeatMs' | 'readerStuckMs'>;
  readonly metrics: Pick<ApiMetrics, 'streamOpened' | 'streamClosed'>;
}

/** Takes over the reply: status 200 and headers leave at once. */
export function openEventStream(
  reply: FastifyReply,
  { limits, metrics }: EventStreamDeps,
): EventStream {
  const response = reply.raw;
  const gone = new AbortController();
  metrics.streamOpened();
  reply.hijack();
  response.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
  });
  // Some proxies forward headers only together with the first bytes.
  response.write(HEARTBEAT);
  const heartbeat = setInterval(() => {
    if (!response.writableNeedDrain) response.write(HEARTBEAT);
  }, limits.heartbeatMs);

  function onClose(): void {
    clearInterval(heartbeat);
    metrics.streamClosed();
    gone.abort();
  }
  if (response.destroyed) onClose();
  else response.once('close', onClose);

  return {
    signal: gone.signal,
    async write(text) {
      if (text === '' || gone.signal.aborted || response.write(text)) return;
      await drained(response, limits.readerStuckMs);
    },
    close() {
      clearInterval(heartbeat);
      if (gone.signal.aborted) return;
      response.end();
      const stuck = setTimeout(() => response.destroy(), limits.readerStuckMs);
      response.once('close', () => clearTimeout(stuck));
    },
  };
}

/** Waits until the socket takes more; a reader that is stuck for too long is disconnected. */
async function drained(response: FastifyReply['raw'], stuckMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stuck = setTimeout(() => response.destroy(), stuckMs);
  response.once('drain', resolve);
  response.once('close', resolve);
  await promise;
  clearTimeout(stuck);
  response.off('drain', resolve);
  response.off('close', resolve);
}
