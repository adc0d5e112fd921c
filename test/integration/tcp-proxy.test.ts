import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** A server that sends back what it gets, behind a proxy. */
async function startEcho() {
  const sockets = new Set<Socket>();
  let received = '';
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => (received += bytes.toString('utf8')));
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await startTcpProxy({ targetPort: (server.address() as AddressInfo).port });
  onTestFinished(async () => {
    await proxy.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { proxy, received: () => received };
}

async function openClient(port: number) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  let end: string | null = null;
  socket.on('data', (bytes) => (text += bytes.toString('utf8')));
  socket.on('end', () => (end ??= 'end'));
  socket.on('error', (error: NodeJS.ErrnoException) => (end ??= error.code ?? 'error'));
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  return { socket, text: () => text, end: () => end };
}

test('carries bytes both ways, and each end by itself', async () => {
  const { proxy } = await startEcho();
  const client = await openClient(proxy.port);
  const sent = 'x'.repeat(1_000_000);
  client.socket.end(sent);
  await waitUntil('all is back', () => client.end() !== null);
  expect(client.text()).toBe(sent);
  expect(client.end()).toBe('end');
  await waitUntil('the line is closed', () => proxy.counts.open === 0);
  expect(proxy.counts).toEqual({
    accepted: 1,
    open: 0,
    reset: 0,
    bytesUp: 1_000_000,
    bytesDown: 1_000_000,
  });
});

test('swallows one direction, or both, and delivers all of it when it is healed', async () => {
  const { proxy, received } = await startEcho();
  const client = await openClient(proxy.port);
  await proxy.apply({ kind: 'black_hole', direction: 'down' });
  client.socket.write('one');
  await waitUntil('the way up is open', () => received() === 'one');
  await proxy.apply({ kind: 'black_hole', direction: 'both' });
  client.socket.write('two');
  const late = await openClient(proxy.port);
  late.socket.write('three');
  // Nothing tells that something does not come: a line that is good meanwhile has been quicker.
  const other = await startEcho();
  const quick = await openClient(other.proxy.port);
  quick.socket.write('quick');
  await waitUntil('the good line answers', () => quick.text() === 'quick');
  expect([received(), client.text(), late.text()]).toEqual(['one', '', '']);
  await proxy.heal();
  await waitUntil('all is delivered', () => client.text() === 'onetwo' && late.text() === 'three');
});

test('resets what is open, and refuses until it is healed', async () => {
  const { proxy } = await startEcho();
  const first = await openClient(proxy.port);
  first.socket.write('first');
  await waitUntil('it is connected', () => first.text() === 'first');
  expect(proxy.reset()).toBe(1);
  await waitUntil('it is reset', () => first.end() === 'ECONNRESET');

  const second = await openClient(proxy.port);
  second.socket.write('second');
  await waitUntil('it is connected', () => second.text() === 'second');
  await proxy.apply({ kind: 'refuse' });
  await waitUntil('it is reset', () => second.end() === 'ECONNRESET');
  await expect(openClient(proxy.port)).rejects.toThrow('ECONNREFUSED');

  await proxy.heal();
  const third = await openClient(proxy.port);
  third.socket.write('third');
  await waitUntil('it takes connections again', () => third.text() === 'third');
  expect(proxy.counts).toMatchObject({ accepted: 3, open: 1, reset: 2 });
});

test('delays, and lets only so many bytes through in a second', async () => {
  const { proxy } = await startEcho();
  const client = await openClient(proxy.port);
  await proxy.apply({ kind: 'latency', delayMs: 50 });
  let sentMs = performance.now();
  client.socket.write('x');
  await waitUntil('it is back', () => client.text() === 'x');
  // Both ways; a timer of Node may be a millisecond early.
  expect(performance.now() - sentMs).toBeGreaterThan(97);

  await proxy.heal();
  await proxy.apply({ kind: 'bandwidth', bytesPerSecond: 100_000 });
  sentMs = performance.now();
  client.socket.write('y'.repeat(20_000));
  await waitUntil('all is back', () => client.text().length === 20_001);
  expect(performance.now() - sentMs).toBeGreaterThan(195);
});
