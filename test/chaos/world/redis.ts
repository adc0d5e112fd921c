/** The Redis of a run: its own process on its own data, which is killed, frozen and started again. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startRedisServer } from '../../harness/redis-server.ts';

/** The observer waits as long as a fault may last. */
const OBSERVER_RETRY_MS = 100;

export interface WorldRedis {
  readonly port: number;
  /** A connection of the runner's own, past every proxy. It waits while Redis is away. */
  readonly observer: Redis;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** On the same data and port. Nothing where it runs. */
  start(): Promise<void>;
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export async function startWorldRedis(folder: string): Promise<WorldRedis> {
  const dir = join(folder, 'redis');
  await mkdir(dir);
  let server: Awaited<ReturnType<typeof startRedisServer>> | null = await startRedisServer({ dir });
  const { url, port } = server;
  const observer = new Redis(url, {
    maxRetriesPerRequest: null,
    retryStrategy: () => OBSERVER_RETRY_MS,
  });
  // It comes again by itself.
  observer.on('error', () => {});

  async function kill(): Promise<void> {
    await server?.stop();
    server = null;
  }

  return {
    port,
    observer,
    kill,
    async start() {
      server ??= await startRedisServer({ dir, port });
    },
    freeze: () => void (server !== null && process.kill(server.pid, 'SIGSTOP')),
    thaw: () => void (server !== null && process.kill(server.pid, 'SIGCONT')),
    async stop() {
      observer.disconnect();
      await kill();
    },
  };
}
