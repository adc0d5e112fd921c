/** Commands that become ready together leave in one write, and are answered as if each had its own. */
import { readFileSync } from 'node:fs';
import { expect, inject, it, onTestFinished } from 'vitest';
import { connectWorker, whenReady } from '../../packages/job-store/src/connections.ts';
import type { RedisClient } from '../../packages/job-store/src/redis-client.ts';

const COMMANDS = 400;

it('takes few system calls for many commands at once', async () => {
  const redis = await connect();
  const before = writes();
  const replies = await Promise.all(
    Array.from({ length: COMMANDS }, (_, at) => redis.echo(`${at}`)),
  );
  expect(replies).toEqual(Array.from({ length: COMMANDS }, (_, at) => `${at}`));
  // Other threads of this process write as well.
  expect(writes() - before).toBeLessThan(COMMANDS / 2);
});

it('does so on each new connection, and sends what the old one has not answered', async () => {
  const redis = await connect();
  const again = new Promise((resolve) => redis.once('ready', resolve));
  redis.disconnect(true);
  const early = redis.echo('early');
  await again;
  const before = writes();
  const replies = Promise.all(Array.from({ length: COMMANDS }, (_, at) => redis.echo(`${at}`)));
  expect(await early).toBe('early');
  expect(await replies).toHaveLength(COMMANDS);
  expect(writes() - before).toBeLessThan(COMMANDS / 2);
});

async function connect(): Promise<RedisClient> {
  const redisUrl = inject('redisUrl');
  const redis = connectWorker({ redisUrl, onError: () => {} });
  onTestFinished(() => redis.disconnect());
  await whenReady(redis, redisUrl);
  return redis;
}

/** System calls of this process that write. */
function writes(): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}
