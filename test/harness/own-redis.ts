import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { startRedisServer } from './redis-server.ts';

/**
 * Where the disk is busy, Redis may hold back what it has answered for up to two seconds, and a kill
 * loses it. A test in which nothing may be lost asks for more.
 */
export const KILLABLE = { appendfsync: 'always' };

/** A Redis for one test, which may be killed and started again on the same data. */
export async function createOwnRedis() {
  const dir = await mkdtemp(join(tmpdir(), 'qarr-redis-'));
  let server = await startRedisServer({ dir, settings: KILLABLE });
  const { url, port } = server;
  onTestFinished(async () => {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  });
  return {
    url,
    async restart() {
      await server.stop();
      server = await startRedisServer({ dir, port, settings: KILLABLE });
    },
    /** Ends it; what it holds is lost to this test. */
    stop: () => server.stop(),
    freeze: () => process.kill(server.pid, 'SIGSTOP'),
    thaw: () => process.kill(server.pid, 'SIGCONT'),
  };
}
