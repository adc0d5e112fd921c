import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { LentSocket } from './lent-socket.ts';

/** More than sockets and streams buffer. */
const MUCH = 'x'.repeat(20_000_000);
const GET = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';

/** An HTTP server on lent sockets, and a connection to it. */
async function serve(onRequest: (request: IncomingMessage, response: ServerResponse) => void) {
  const http: Server = createServer((request, response) => {
    lentTo(request).note(request, response);
    onRequest(request, response);
  });
  const accepted: Socket[] = [];
  const tcp = createTcpServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    http.emit('connection', new LentSocket(socket, { keep: () => {} }));
  });
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const client = connect((tcp.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => {
    client.destroy();
    for (const socket of accepted) socket.destroy();
    http.close();
    tcp.close();
  });
  await once(tcp, 'connection');
  const [socket] = accepted;
  if (socket === undefined) throw new Error('No connection');
  let text = '';
  client.on('data', (bytes) => (text += String(bytes)));
  client.on('error', () => {});
  return { client, socket, arrived: (part: string) => vi.waitUntil(() => text.includes(part)) };
}

function lentTo({ socket }: { socket: unknown }): LentSocket {
  if (!(socket instanceof LentSocket)) throw new Error('Not a lent socket');
  return socket;
}

it('carries one request after another, with bodies both ways', async () => {
  const { client, arrived } = await serve((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => (bytes += chunk.length));
    request.on('end', () => response.end(`${request.method} ${bytes}.`));
  });
  client.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${MUCH.length}\r\n\r\n${MUCH}`);
  await arrived(`POST ${MUCH.length}.`);
  client.write(GET);
  await arrived('GET 0.');
});

it('does not read what the server does not take', async () => {
  const { client, socket } = await serve(() => {});
  client.write(`POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${MUCH.length}\r\n\r\n${MUCH}`);
  await vi.waitUntil(() => socket.isPaused());
  const read = socket.bytesRead;
  await sleep(50);
  expect([socket.bytesRead, read < MUCH.length / 10]).toEqual([read, true]);
});

it.each([
  ['in one piece', { 'content-length': MUCH.length + 'the end'.length }],
  ['in chunks', {}],
])('tells the server when a reader has taken, and not before (%s)', async (_name, headers) => {
  const answered = Promise.withResolvers<ServerResponse>();
  const { client, arrived } = await serve((_request, response) => answered.resolve(response));
  client.pause();
  client.write(GET);
  const response = await answered.promise;
  response.writeHead(200, headers);
  response.flushHeaders();
  expect(response.write(MUCH)).toBe(false);
  const drained = once(response, 'drain');
  await sleep(50);
  expect(response.writableNeedDrain).toBe(true);
  client.resume();
  await drained;
  response.end('the end');
  await arrived('the end');
});

it('answers a client that closes its side after the request', async () => {
  const { client, socket, arrived } = await serve((_request, response) => {
    response.end('answer');
  });
  client.end(GET);
  await arrived('answer');
  await vi.waitUntil(() => socket.destroyed);
});

it('ends the request of a client that leaves', async () => {
  const gone = Promise.withResolvers<void>();
  const { client } = await serve((_request, response) => response.once('close', gone.resolve));
  client.write(GET);
  await sleep(20);
  client.destroy();
  await gone.promise;
});

it('can be taken back, after which the server holds nothing of it', async () => {
  const lost = Promise.withResolvers<void>();
  const { client, socket, arrived } = await serve((_request, response) => {
    response.once('close', lost.resolve);
    response.writeHead(200);
    response.flushHeaders();
    const lent = lentTo(response);
    expect(lent.takeBack()).toBe(socket);
  });
  client.write(GET);
  await lost.promise;
  const names = ['data', 'error', 'timeout', 'drain'];
  expect(names.filter((name) => socket.listenerCount(name) > 0)).toEqual([]);
  socket.write('by hand');
  await arrived('by hand');
});

it('is not given back while the server has something to send', async () => {
  const taken = Promise.withResolvers<Socket | null>();
  const { client } = await serve((_request, response) => {
    response.write(MUCH);
    response.write('more');
    taken.resolve(lentTo(response).takeBack());
  });
  client.pause();
  client.write(GET);
  expect(await taken.promise).toBe(null);
});

it.each([
  ['a request', GET, true],
  ['one with a body', 'POST /a?b=c HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}', true],
  ['a request after another', GET + GET, true],
  [
    'a body that has come in part',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{',
    false,
  ],
  [
    'a body in chunks',
    'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    false,
  ],
  ['the first bytes of another', `${GET}G`, false],
  [
    'a body and the first bytes of another',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n11',
    false,
  ],
])('knows whether nothing has come after %s', async (_name, text, isAll) => {
  const requests = text === GET + GET ? 2 : 1;
  const answers: ServerResponse[] = [];
  const { client } = await serve((_request, response) => {
    answers.push(response);
  });
  client.write(text);
  await vi.waitUntil(() => answers.length === requests);
  await sleep(5);
  const [first] = answers;
  const last = answers.at(-1);
  if (first === undefined || last === undefined) throw new Error('No request');
  const lent = lentTo(first);
  expect(lent.hasEndedWith(last)).toBe(isAll);
  if (first !== last) expect(lent.hasEndedWith(first)).toBe(false);
});
