import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../processes/ports.ts';
import { pingRedis } from './ping-redis.ts';

const signal = new AbortController().signal;
let server: Server | undefined;
const sockets = new Set<Socket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  if (server === undefined) return;
  const closed = once(server, 'close');
  server.close();
  await closed;
  server = undefined;
});

/** A server that notes what it is sent and answers with `answer`. */
async function serve(answer: string): Promise<{ host: string; received: () => string }> {
  let received = '';
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('data', (chunk) => {
      received += chunk.toString();
      socket.write(answer);
    });
  });
  const port = await freePort('127.0.0.1');
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { host: `127.0.0.1:${port}`, received: () => received };
}

describe('pingRedis', () => {
  test('is content with PONG', async () => {
    const { host, received } = await serve('+PONG\r\n');
    expect(await pingRedis({ url: `redis://${host}`, timeoutMs: 3000, signal })).toBeNull();
    expect(received()).toBe('*1\r\n$4\r\nPING\r\n');
  });

  test('gives its user and password first', async () => {
    const { host, received } = await serve('+OK\r\n+PONG\r\n');
    const url = `redis://app:p%40ss@${host}/3`;
    expect(await pingRedis({ url, timeoutMs: 3000, signal })).toBeNull();
    expect(received()).toBe('*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$4\r\np@ss\r\n*1\r\n$4\r\nPING\r\n');
  });

  test.each([
    ['-NOAUTH Authentication required.\r\n', 'NOAUTH Authentication required.'],
    ['HTTP/1.1 400 Bad Request\r\n', 'it does not speak the protocol of Redis'],
  ])('says what is wrong with %j', async (answer, problem) => {
    const { host } = await serve(answer);
    expect(await pingRedis({ url: `redis://${host}`, timeoutMs: 3000, signal })).toBe(problem);
  });

  test('does not wait for ever', async () => {
    const { host } = await serve('');
    const problem = await pingRedis({ url: `redis://${host}`, timeoutMs: 30, signal });
    expect(problem).toBe('no answer within 0.03 s');
  });

  test('says that nothing listens', async () => {
    const url = `redis://127.0.0.1:${await freePort('127.0.0.1')}`;
    expect(await pingRedis({ url, timeoutMs: 3000, signal })).toContain('ECONNREFUSED');
  });
});
