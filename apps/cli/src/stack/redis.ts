/** The Redis of the stack: the one that is given, or one of its own under `.qarr/redis`. */
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { describeRedis, readRedisUrl } from '@qarr/router-core';
import type { RedisNode } from '@qarr/router-core';
import type { Cleanup } from '../processes/cleanup.ts';
import { CliError } from '../cli-error.ts';
import { poll } from '../processes/poll.ts';
import { freePort } from '../processes/ports.ts';
import { STOP_SHARES_MS } from './stop-shares.ts';
import type { Supervisor } from '../processes/supervisor.ts';

const OWN_LISTENS_MS = 10_000;
const LISTENS_MS = 3_000;
const POLL_MS = 20;

/**
 * Throws a CliError when nobody listens there. That it serves, and is set as it must be, is for the
 * processes that use it to ask: each does when it starts.
 */
export async function requireGivenRedis(url: string): Promise<void> {
  const listening = await Promise.all(
    doorsOf(url).map((node) => listens({ ...node, timeoutMs: LISTENS_MS })),
  );
  if (listening.includes(true)) return;
  throw new CliError(
    `Redis at ${describeRedis(url)} does not answer; start it, correct REDIS_URL, or unset it to use a Redis of its own`,
  );
}

/**
 * Starts it on a free port and returns its URL when it listens.
 */
export async function startOwnRedis({
  folder,
  env,
  supervisor,
  cleanup,
  signal,
}: {
  folder: string;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  cleanup: Cleanup;
  signal: AbortSignal;
}): Promise<string> {
  const dataFolder = path.join(folder, 'redis');
  mkdirSync(dataFolder, { recursive: true });
  const port = await freePort('127.0.0.1');
  const redis = supervisor.start({
    name: 'redis',
    command: 'redis-server',
    args: () => redisArguments(port),
    cwd: dataFolder,
    env,
    whenItEnds: 'fail',
  });
  cleanup.add(() => redis.stop(STOP_SHARES_MS.redis));
  const url = `redis://127.0.0.1:${port}`;
  await poll({
    ask: async () =>
      (await listens({ host: '127.0.0.1', port, timeoutMs: LISTENS_MS })) ? true : undefined,
    everyMs: POLL_MS,
    limitMs: OWN_LISTENS_MS,
    onLimit: () =>
      new CliError(
        `redis-server does not listen within ${OWN_LISTENS_MS / 1000} s; its log is ${redis.logFile}`,
      ),
    signal,
  });
  return url;
}

/** Any of them leads to the Redis: itself, its sentinels, or nodes of the cluster. */
function doorsOf(url: string): readonly RedisNode[] {
  const address = readRedisUrl(url);
  switch (address.kind) {
    case 'server':
      return [address.node];
    case 'sentinel':
      return address.sentinels;
    case 'cluster':
      return address.nodes;
    case 'invalid':
      return [];
    default:
      return address satisfies never;
  }
}

/** Whether somebody takes a connection there, within a time. */
function listens({ host, port, timeoutMs }: RedisNode & { timeoutMs: number }): Promise<boolean> {
  const socket = connect({ host, port, timeout: timeoutMs });
  return new Promise((resolve) => {
    const finish = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => finish(true));
    socket.once('timeout', () => finish(false));
    socket.once('error', () => finish(false));
  });
}

/** What the promise needs: nothing accepted is forgotten, and nothing is evicted. */
function redisArguments(port: number): string[] {
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    'protected-mode': 'yes',
    // Its working folder is its data folder, whose path may hold anything.
    dir: '.',
    appendonly: 'yes',
    appendfsync: 'everysec',
    // The append-only file has it all; a snapshot beside it would cost a fork for nothing.
    save: '',
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}
