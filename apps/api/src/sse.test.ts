import { connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { NO_TRACING } from '@qarr/process';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { traceRequests } from './request-span.ts';
import { createEventStreams } from './sse.ts';
import type { EventStream } from './sse.ts';

/** More than sockets and streams buffer. */
const MUCH = 'x'.repeat(20_000_000);

/** A stream with its two ends: the writer, and a socket that has asked for it. */
async function open({
  readerStuckMs = 20_000,
  handle = () => {},
}: {
  readerStuckMs?: number;
  handle?: (stream: EventStream, raw: NodeJS.WritableStream) => void;
} = {}) {
  const limits = { heartbeatMs: 50, readerStuckMs };
  const over = new AbortController();
  const counts = { opened: 0, closed: 0 };
  const metrics = {
    streamOpened: () => void (counts.opened += 1),
    streamClosed: () => void (counts.closed += 1),
  };
  const eventStreams = createEventStreams({
    limits,
    metrics,
    drain: { over: over.signal, isStopping: false, enter: () => () => {} },
  });
  onTestFinished(() => eventStreams.stop());
  const streams: EventStream[] = [];
  const app = Fastify({ forceCloseConnections: true });
  traceRequests(app, { tracing: NO_TRACING });
  app.get('/', async (_request, reply) => {
    const stream = eventStreams.open(reply);
    streams.push(stream);
    handle(stream, reply.raw);
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  onTestFinished(() => app.close());
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(socket, 'readable');
  const [stream] = streams;
  if (stream === undefined) throw new Error('No stream');
  return { stream, socket, counts, over };
}

async function untilText(socket: Socket, part: string): Promise<string> {
  let text = '';
  for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
    text += String(bytes);
    if (text.includes(part)) break;
  }
  return text;
}

async function take(socket: Socket, bytes: number): Promise<void> {
  let left = bytes;
  while (left > 0) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) await once(socket, 'readable');
    left -= chunk?.length ?? 0;
  }
}

async function gone({ signal }: EventStream): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

describe('an event stream', () => {
  it('begins with a heartbeat, before anything happens', async () => {
    const { socket } = await open();
    const text = await untilText(socket, ': hb\n');
    expect(text).toContain('content-type: text/event-stream; charset=utf-8\r\n');
    expect(text).not.toContain(': hb\n\n');
  });

  it('is gone when its reader leaves', async () => {
    const { stream, socket, counts } = await open();
    socket.destroy();
    await gone(stream);
    expect(counts).toEqual({ opened: 1, closed: 1 });
    // What comes too late changes nothing.
    await stream.write('x');
    stream.close();
  });

  it('waits for a reader that does not take, and disconnects one that takes nothing', async () => {
    const { stream, socket, counts } = await open({ readerStuckMs: 100 });
    socket.pause();
    await stream.write(MUCH);
    await gone(stream);
    expect(counts.closed).toBe(1);
  });

  it('bears with a reader that takes little, but takes', async () => {
    const { stream, socket } = await open({ readerStuckMs: 400 });
    socket.pause();
    const written = stream.write(MUCH);
    let isWritten = false;
    void written.then(() => (isWritten = true));
    // Three times as long as a reader may take nothing.
    for (let round = 0; round < 12; round += 1) {
      await sleep(100);
      await take(socket, MUCH.length / 40);
    }
    expect([isWritten, stream.signal.aborted]).toEqual([false, false]);
    socket.resume();
    await written;
    expect(stream.signal.aborted).toBe(false);
  });

  it('ends when the server does, and still takes a goodbye', async () => {
    const { stream, socket, over } = await open();
    over.abort();
    expect(stream.signal.aborted).toBe(true);
    await stream.write('goodbye');
    stream.close();
    expect(await untilText(socket, 'goodbye')).toContain('goodbye');
  });

  it('goes on when a slow reader has taken it', async () => {
    const { stream, socket } = await open();
    let isWritten = false;
    const written = stream.write(MUCH).then(() => (isWritten = true));
    await untilText(socket, 'xxx');
    expect(isWritten).toBe(false);
    socket.resume();
    await written;
    await stream.write('the end');
    expect(await untilText(socket, 'the end')).toContain('the end');
    expect(stream.signal.aborted).toBe(false);
  });

  it('is closed also where its reader does not take the end', async () => {
    const { counts } = await open({
      readerStuckMs: 100,
      handle(opened, raw) {
        // Not by the stream's own writing, which would wait.
        raw.write(MUCH);
        opened.close();
      },
    });
    await vi.waitUntil(() => counts.closed === 1);
    expect(counts.opened).toBe(1);
  });
});
