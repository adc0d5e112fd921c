/** A real Redis for tests: the one that is given, a container, or the local binary. */
import { execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RedisContainer } from '@testcontainers/redis';
import { Redis } from 'ioredis';

const REDIS_IMAGE = 'redis:7.4-alpine';
const START_TIMEOUT_MS = 10_000;
/** Below those that a system hands out by itself. */
const [PORT_MIN, PORT_MAX] = [10_000, 32_000];
const givenPorts = new Set<number>();

export interface RedisServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** TEST_REDIS_URL, else a container where a Docker engine answers, else the `redis-server` binary. */
export async function acquireRedis(): Promise<RedisServer> {
  const given = process.env['TEST_REDIS_URL'];
  if (given !== undefined && given !== '') return { url: given, async stop() {} };
  const container = await startContainer();
  if (container !== null) return container;
  return startRedisServer();
}

/** Null where no Docker engine answers, or where it cannot get the image. */
async function startContainer(): Promise<RedisServer | null> {
  try {
    await promisify(execFile)('docker', ['info'], { timeout: 3_000 });
    const container = await new RedisContainer(REDIS_IMAGE)
      .withCommand(['redis-server', '--appendonly', 'yes', '--maxmemory-policy', 'noeviction'])
      .start();
    return {
      url: container.getConnectionUrl(),
      stop: async () => void (await container.stop()),
    };
  } catch {
    // No engine, or no way to the image: the binary is next.
    return null;
  }
}

export interface RedisProcess extends RedisServer {
  readonly port: number;
  readonly pid: number;
}

/**
 * Starts the local binary as a process that tests may also freeze or kill. `settings` are beyond what
 * every server of ours has.
 */
export async function startRedisServer({
  port,
  dir,
  settings = {},
}: {
  port?: number;
  dir?: string;
  settings?: Record<string, string | number>;
} = {}): Promise<RedisProcess> {
  const usedPort = port ?? (await freePort());
  const usedDir = dir ?? (await mkdtemp(join(tmpdir(), 'qarr-redis-')));
  const options = {
    port: usedPort,
    bind: '127.0.0.1',
    dir: usedDir,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
    ...settings,
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const server = await startRedisProcess({ args, port: usedPort });
  return {
    ...server,
    async stop() {
      await server.stop();
      if (dir === undefined) await rm(usedDir, { recursive: true, force: true });
    },
  };
}

/** The binary with just these arguments, from when it answers on its port. `stop` is SIGKILL. */
export async function startRedisProcess({
  args,
  port,
}: {
  args: readonly string[];
  port: number;
}): Promise<RedisProcess> {
  // The shell ends the server when this process is gone, however it went; and waits until its port is free.
  const script = 'redis-server "$@" >/dev/null & echo $!; cat; kill -9 $!; wait $!';
  const child = spawn('sh', ['-c', script, 'sh', ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const firstLine = new Promise<string>((resolve) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString('utf8')));
  });
  const pid = Number(await firstLine);
  const url = `redis://127.0.0.1:${port}`;
  await untilPong(url);
  return {
    url,
    port,
    pid,
    async stop() {
      child.stdin.end();
      await exited;
    },
  };
}

async function untilPong(url: string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => 20 });
  redis.on('error', () => {});
  try {
    while (performance.now() < deadlineMs) {
      try {
        if ((await redis.ping()) === 'PONG') return;
      } catch {
        await sleep(20);
      }
    }
    throw new Error(
      `Redis at ${url} did not answer. Set TEST_REDIS_URL, start Docker, or install redis-server`,
    );
  } finally {
    redis.disconnect();
  }
}

/** Not one of those that outgoing connections get, of which one may take it in between. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(!givenPorts.has(port)));
    });
    if (server.listening) await new Promise((resolve) => server.close(resolve));
    if (!isFree) continue;
    givenPorts.add(port);
    return port;
  }
}
