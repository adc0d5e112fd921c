import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { attend, createKeptSockets } from './kept-sockets.ts';

/** A socket that is kept, and its client. */
async function keep({ idleMs = 60_000 } = {}) {
  const lent = Promise.withResolvers<{ socket: Socket; first: string }>();
  const kept = createKeptSockets({
    idleMs,
    lend: (socket, first) => lent.resolve({ socket, first: String(first) }),
  });
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [socket] = await accepted;
  onTestFinished(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  client.resume();
  attend(socket);
  kept.keep(socket);
  return { kept, socket, client, lent: lent.promise };
}

it('is lent with the first bytes that come, and left alone from then on', async () => {
  const { kept, socket, client, lent } = await keep({ idleMs: 200 });
  client.end('GET');
  expect(await lent).toEqual({ socket, first: 'GET' });
  kept.stop();
  expect([socket.timeout, socket.destroyed]).toEqual([0, false]);
  await once(socket, 'end');
  expect(socket.writable).toBe(true);
  const names = ['data', 'end', 'timeout', 'error'];
  // Node itself listens to the end.
  expect(names.map((name) => socket.listenerCount(name))).toEqual([0, 1, 0, 0]);
});

it.each([
  ['when no request has come for the time', { idleMs: 20 }, () => {}],
  ['when its client leaves', {}, ({ client }: { client: Socket }) => void client.end()],
  ['when the server stops', {}, ({ kept }: { kept: { stop(): void } }) => kept.stop()],
])('is closed %s', async (_name, options, act) => {
  const { client, ...world } = await keep(options);
  act({ client, ...world });
  await once(client, 'close');
});

it('is closed at once where the server has stopped', async () => {
  const { kept, client } = await keep();
  kept.stop();
  await once(client, 'close');
  const another = await keep();
  kept.keep(another.socket);
  await once(another.client, 'close');
});
