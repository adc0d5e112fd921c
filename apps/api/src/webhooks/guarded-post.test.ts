import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { guardedPost } from './guarded-post.ts';
import type { GuardedPostDeps } from './guarded-post.ts';

/** In these tests one address of the loopback net is public, and another is a machine of ours. */
const PUBLIC = '127.0.0.1';
const INNER = '127.0.0.2';
const FOREVER = new AbortController().signal;

interface Listening {
  readonly port: number;
  readonly connections: number;
  readonly open: number;
  readonly bytes: number;
}

async function listen(server: Server, host: string, port = 0): Promise<Listening> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let bytes = 0;
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      bytes += socket.bytesWritten;
      sockets.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get open() {
      return sockets.size;
    },
    get bytes() {
      return bytes;
    },
  };
}

const answering = (listener: RequestListener, host = PUBLIC, port = 0) =>
  listen(createHttpServer(listener), host, port);
/** Without HTTP: does with each connection what it is told. */
const raw = (onSocket: (socket: Socket) => void) => listen(createServer(onSocket), PUBLIC);

async function post(
  url: string,
  deps: Partial<GuardedPostDeps> = {},
  signal: AbortSignal = FOREVER,
) {
  return guardedPost(
    { url: new URL(url), headers: { 'x-a': 'b' }, body: '{}', signal },
    {
      findAddresses: async () => [PUBLIC],
      isAllowed: (address) => address === PUBLIC,
      timeoutMs: 5_000,
      answerBytesMax: 1_000,
      ...deps,
    },
  );
}

describe('a delivery', () => {
  it('goes to the address that was found, with the name of the URL', async () => {
    const seen: unknown[] = [];
    const { port } = await answering((request, response) => {
      seen.push([request.method, request.url, request.headers.host, request.headers['x-a']]);
      response.writeHead(204).end();
    });
    expect(await post(`http://hooks.example.com:${port}/a?b=c`)).toMatchObject({
      kind: 'answered',
      status: 204,
    });
    expect(seen).toEqual([['POST', '/a?b=c', `hooks.example.com:${port}`, 'b']]);
  });

  it.each([
    ['the only one', [INNER]],
    ['one of several', [PUBLIC, INNER]],
  ])('makes no connection where an inner address is %s', async (_name, addresses) => {
    const inner = await answering((_request, response) => response.end(), INNER);
    const outer = await answering((_request, response) => response.end(), PUBLIC, inner.port);
    const outcome = await post(`http://hooks.example.com:${inner.port}/`, {
      findAddresses: async () => addresses,
    });
    expect(outcome).toEqual({ kind: 'forbidden' });
    expect([inner.connections, outer.connections]).toEqual([0, 0]);
  });

  it('makes no connection to an address that stands in the URL itself', async () => {
    const inner = await answering((_request, response) => response.end(), INNER);
    const outcome = await post(`http://${INNER}:${inner.port}/`, {
      findAddresses: async (host) => [host],
    });
    expect([outcome.kind, inner.connections]).toEqual(['forbidden', 0]);
  });

  it('asks once, and stays with that answer when the next one leads to an inner address', async () => {
    const inner = await answering((_request, response) => response.end(), INNER);
    const outer = await answering((_request, response) => response.end(), PUBLIC, inner.port);
    let asked = 0;
    const findAddresses = async () => [(asked += 1) % 2 === 1 ? PUBLIC : INNER];
    const url = `http://hooks.example.com:${inner.port}/`;
    expect(await post(url, { findAddresses })).toMatchObject({ kind: 'answered', status: 200 });
    expect(await post(url, { findAddresses })).toEqual({ kind: 'forbidden' });
    expect([asked, outer.connections, inner.connections]).toEqual([2, 1, 0]);
  });

  it.each([301, 302, 303, 307, 308])('does not follow a %i', async (status) => {
    const inner = await answering((_request, response) => response.end(), INNER);
    const { port } = await answering((_request, response) => {
      response.writeHead(status, { location: `http://${INNER}:${inner.port}/` }).end();
    });
    const outcome = await post(`http://hooks.example.com:${port}/`, { isAllowed: () => true });
    expect(outcome).toMatchObject({ kind: 'answered', status });
    expect(inner.connections).toBe(0);
  });

  it('tells the pause that is asked for', async () => {
    const { port } = await answering((_request, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end();
    });
    expect(await post(`http://a.example:${port}/`)).toEqual({
      kind: 'answered',
      status: 429,
      retryAfter: '7',
    });
  });
});

describe('of a receiver that is broken or hostile', () => {
  it('nothing is left open when it never answers', async () => {
    const silent = await raw((socket) => void socket.resume());
    const outcome = await post(`http://a.example:${silent.port}/`, { timeoutMs: 100 });
    expect(outcome).toEqual({ kind: 'failed', cause: 'timeout' });
    await untilClosed(silent);
  });

  it('an answer that drips its headers is given up in time', async () => {
    const drip = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const timer = setInterval(() => socket.write('x-a: b\r\n'), 10);
      socket.on('close', () => clearInterval(timer));
    });
    const outcome = await post(`http://a.example:${drip.port}/`, { timeoutMs: 200 });
    expect(outcome).toEqual({ kind: 'failed', cause: 'timeout' });
    await untilClosed(drip);
  });

  it('headers without end are given up by their size', async () => {
    const endless = await raw((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const line = `x-a: ${'a'.repeat(1_000)}\r\n`;
      const pour = () => {
        while (!socket.destroyed && socket.write(line));
      };
      socket.on('drain', pour);
      pour();
    });
    const outcome = await post(`http://a.example:${endless.port}/`);
    expect(outcome).toEqual({ kind: 'failed', cause: 'HPE_HEADER_OVERFLOW' });
    await untilClosed(endless);
  });

  it('a body without end is cut off, and its status counts', async () => {
    const chunk = 'a'.repeat(16_384);
    const endless = await answering((_request, response) => {
      response.writeHead(200);
      const pour = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', pour);
      pour();
    });
    const outcome = await post(`http://a.example:${endless.port}/`);
    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    await untilClosed(endless);
    // What lay in the buffers of the two sockets, but not what would have come.
    expect(endless.bytes).toBeLessThan(16_000_000);
  });

  it('a body that drips is not waited for', async () => {
    const drip = await answering((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('a'), 10);
      response.on('close', () => clearInterval(timer));
    });
    const outcome = await post(`http://a.example:${drip.port}/`);
    expect(outcome).toMatchObject({ kind: 'answered', status: 200 });
    await untilClosed(drip);
  });

  it.each([
    ['closes at once', (socket: Socket) => void socket.destroy()],
    ['speaks no HTTP', (socket: Socket) => void socket.end('SSH-2.0-OpenSSH_9.6\r\n')],
    [
      'wants another protocol',
      (socket: Socket) =>
        void socket.write('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
  ])('one that %s is a failure', async (_name, onSocket) => {
    const broken = await raw((socket) => void socket.once('data', () => onSocket(socket)));
    expect((await post(`http://a.example:${broken.port}/`)).kind).toBe('failed');
    await untilClosed(broken);
  });

  it.each([
    ['nobody listens', async () => [PUBLIC], 'ECONNREFUSED'],
    ['there is no such name', async () => Promise.reject(notFound()), 'ENOTFOUND'],
    ['DNS does not answer', () => new Promise<never>(() => {}), 'timeout'],
  ])('there is a failure when %s', async (_name, findAddresses, cause) => {
    const outcome = await post('http://a.example:1/', { findAddresses, timeoutMs: 300 });
    expect(outcome).toEqual({ kind: 'failed', cause });
  });
});

describe('a delivery that is given up by us', () => {
  it('ends at once, and leaves nothing open', async () => {
    const silent = await raw((socket) => void socket.resume());
    const stopping = new AbortController();
    const outcome = post(`http://a.example:${silent.port}/`, {}, stopping.signal);
    while (silent.open === 0) await sleep(1);
    stopping.abort();
    expect(await outcome).toEqual({ kind: 'aborted' });
    await untilClosed(silent);
  });

  it('does not begin when it was given up before', async () => {
    const server = await raw((socket) => void socket.resume());
    const outcome = await post(`http://a.example:${server.port}/`, {}, AbortSignal.abort());
    expect(outcome).toEqual({ kind: 'aborted' });
    expect(server.connections).toBe(0);
  });
});

function notFound(): Error {
  return Object.assign(new Error('not found'), { code: 'ENOTFOUND' });
}

async function untilClosed(server: Listening): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (server.open > 0 && performance.now() < deadlineMs) await sleep(5);
  expect(server.open).toBe(0);
}
