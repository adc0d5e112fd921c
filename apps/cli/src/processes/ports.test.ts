import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort, requireFreePort } from './ports.ts';

let server: Server | undefined;
afterEach(async () => {
  if (server === undefined) return;
  const closed = once(server, 'close');
  server.close();
  await closed;
  server = undefined;
});

async function listen(host: string): Promise<number> {
  const port = await freePort(host);
  server = createServer().listen({ host, port });
  await once(server, 'listening');
  return port;
}

describe('requireFreePort', () => {
  test('accepts a free port', async () => {
    const port = await freePort('127.0.0.1');
    const free = requireFreePort({ host: '127.0.0.1', port, variable: 'PORT' });
    await expect(free).resolves.toBeUndefined();
  });

  test.each([
    { held: '127.0.0.1', wanted: '127.0.0.1' },
    { held: '0.0.0.0', wanted: '127.0.0.1' },
    { held: '127.0.0.1', wanted: '0.0.0.0' },
  ])('refuses $wanted while another process holds $held', async ({ held, wanted }) => {
    const port = await listen(held);
    await expect(requireFreePort({ host: wanted, port, variable: 'OPS_PORT' })).rejects.toThrow(
      `port ${port} is taken; set OPS_PORT to another one, or stop what listens there`,
    );
  });

  test.each([
    ['PORT', 'HOST'],
    ['OPS_PORT', 'OPS_HOST'],
  ] as const)(
    'of %s names %s when it is not an address of this machine',
    async (variable, name) => {
      const port = await freePort('127.0.0.1');
      // A network for documentation, which no machine has (RFC 5737).
      const unusable = requireFreePort({ host: '192.0.2.1', port, variable });
      const line = new RegExp(`^${name} 192\\.0\\.2\\.1 is not an address of this machine`);
      await expect(unusable).rejects.toThrow(line);
    },
  );
});
