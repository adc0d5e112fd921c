/** A primary, its replicas and three sentinels, as local processes, each on its own data. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { freePort, startRedisProcess, startRedisServer } from './redis-server.ts';
import type { RedisProcess } from './redis-server.ts';
import { waitUntil } from './wait-until.ts';

const SENTINELS = 3;
const QUORUM = 2;
const HOST = '127.0.0.1';
const NOBODYS_PORT = 1;

export interface WatchedRedis {
  /** For `REDIS_URL`. */
  readonly url: string;
  /** The name that the sentinels know the primary by. */
  readonly name: string;
  readonly sentinelPorts: readonly number[];
  /** The server that is the primary, or was when it died. */
  primaryPort(): number;
  /** A connection to the primary of this moment, by way of the sentinels. */
  readonly observer: Redis;
  /** SIGKILL of the primary; resolves when the sentinels have made another one. */
  failover(): Promise<void>;
  /** What is written from now on is on the primary alone, and lost with it. */
  detachReplicas(): Promise<void>;
  /** Starts again what was killed, as replicas of the primary. */
  startReplicas(): Promise<void>;
  stop(): Promise<void>;
}

interface Server {
  readonly port: number;
  readonly dir: string;
  running: RedisProcess | null;
}

/** Two replicas, so that there is still one after a failover. */
export async function startWatchedRedis({
  replicas = 2,
  downAfterMs = 500,
  name = 'qarr-primary',
}: { replicas?: number; downAfterMs?: number; name?: string } = {}): Promise<WatchedRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-sentinel-'));
  const servers: Server[] = [];
  let primary = 0;

  async function startServer(server: Server): Promise<void> {
    const of = servers[primary];
    server.running = await startRedisServer({
      dir: server.dir,
      port: server.port,
      settings: {
        'repl-diskless-sync-delay': 0,
        'enable-debug-command': 'local',
        ...(of === undefined || of === server ? {} : { replicaof: `${HOST} ${of.port}` }),
      },
    });
  }

  for (let at = 0; at <= replicas; at += 1) {
    const server = {
      port: await freePort(),
      dir: await mkdtemp(join(folder, 'server-')),
      running: null,
    };
    servers.push(server);
    await startServer(server);
  }
  const followers = () => servers.filter((_, at) => at !== primary);
  const isFollowed = async (server: Server) => {
    const info = await ask(server.port, async (redis) => redis.info('replication'));
    return info.includes('master_link_status:up');
  };
  for (const server of followers()) {
    await waitUntil('a replica follows', async () => isFollowed(server));
  }
  const sentinels = await startSentinels({ folder, name, downAfterMs, servers });
  const hosts = sentinels.map(({ port }) => ({ host: HOST, port }));

  const observer = new Redis({
    sentinels: hosts,
    name,
    maxRetriesPerRequest: null,
    sentinelRetryStrategy: () => 50,
    retryStrategy: () => 50,
  });
  // It comes again by itself.
  observer.on('error', () => {});

  async function isKnownToAll(port: number): Promise<boolean> {
    const answers = await Promise.all(
      sentinels.map(async (sentinel) => primaryBy(sentinel.port, name)),
    );
    return answers.every((answer) => answer === port);
  }

  return {
    url: `redis+sentinel://${hosts.map(({ host, port }) => `${host}:${port}`).join(',')}/${name}`,
    name,
    sentinelPorts: sentinels.map(({ port }) => port),
    primaryPort: () => servers[primary]?.port ?? 0,
    observer,
    async failover() {
      const dead = servers[primary];
      await dead?.running?.stop();
      if (dead !== undefined) dead.running = null;
      const next = await waitUntil(
        'a replica is the primary',
        async () => {
          const ports = await Promise.all(
            sentinels.map(async (sentinel) => primaryBy(sentinel.port, name)),
          );
          return servers.find(({ port }) => port !== dead?.port && port === ports[0]);
        },
        { everyMs: 50 },
      );
      await waitUntil('all sentinels know it', async () => isKnownToAll(next.port));
      primary = servers.indexOf(next);
    },
    async detachReplicas() {
      for (const { port } of followers()) {
        await ask(port, async (redis) => redis.replicaof(HOST, NOBODYS_PORT));
      }
    },
    async startReplicas() {
      for (const server of followers()) {
        if (server.running === null) await startServer(server);
        await waitUntil('a replica follows', async () => isFollowed(server));
      }
    },
    async stop() {
      observer.disconnect();
      await Promise.all(sentinels.map(async (sentinel) => sentinel.stop()));
      await Promise.all(servers.map(async ({ running }) => running?.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startSentinels({
  folder,
  name,
  downAfterMs,
  servers,
}: {
  folder: string;
  name: string;
  downAfterMs: number;
  servers: readonly Server[];
}): Promise<RedisProcess[]> {
  const ports = await Promise.all(Array.from({ length: SENTINELS }, freePort));
  const [first, ...others] = servers;
  return Promise.all(
    ports.map(async (port, at) => {
      const dir = await mkdtemp(join(folder, 'sentinel-'));
      const file = join(dir, 'sentinel.conf');
      // All that they would find out in some seconds stands in it.
      const lines = [
        `port ${port}`,
        `bind ${HOST}`,
        `dir ${dir}`,
        `sentinel myid ${idOf(at)}`,
        `sentinel monitor ${name} ${HOST} ${first?.port} ${QUORUM}`,
        `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
        `sentinel failover-timeout ${name} 3000`,
        ...others.map((server) => `sentinel known-replica ${name} ${HOST} ${server.port}`),
        ...ports.flatMap((other, index) =>
          index === at ? [] : [`sentinel known-sentinel ${name} ${HOST} ${other} ${idOf(index)}`],
        ),
      ];
      await writeFile(file, `${lines.join('\n')}\n`);
      return startRedisProcess({ args: [file, '--sentinel'], port });
    }),
  );
}

function idOf(sentinel: number): string {
  return String(sentinel + 1).padStart(40, '0');
}

async function primaryBy(sentinelPort: number, name: string): Promise<number> {
  const address = await ask(sentinelPort, async (redis) =>
    redis.call('SENTINEL', 'get-master-addr-by-name', name),
  );
  return Number((address as [string, string] | null)?.[1]);
}

async function ask<T>(port: number, question: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(port, { lazyConnect: true });
  redis.on('error', () => {});
  try {
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}
