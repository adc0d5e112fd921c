/** The Redis of the stack: the one that is given, or one of its own under `.qarr/redis`. */
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Cleanup } from '../processes/cleanup.ts';
import { CliError } from '../cli-error.ts';
import { pingRedis } from './ping-redis.ts';
import { poll } from '../processes/poll.ts';
import { freePort } from '../processes/ports.ts';
import { STOP_SHARES_MS } from './stop-shares.ts';
import type { Supervisor } from '../processes/supervisor.ts';

const GIVEN_ANSWERS_MS = 3000;
/** A Redis of its own reads its append-only file first, which may be large. */
const OWN_ANSWERS_MS = 30_000;
const PING_TIMEOUT_MS = 1000;
const POLL_MS = 20;

/** Throws a CliError when it does not answer PING in time. */
export async function requireGivenRedis(url: string, signal: AbortSignal): Promise<void> {
  const problem = await pingRedis({ url, timeoutMs: GIVEN_ANSWERS_MS, signal });
  signal.throwIfAborted();
  if (problem === null) return;
  throw new CliError(
    `Redis at ${withoutPassword(url)} does not answer (${problem}); start it, correct REDIS_URL, or unset it to use a Redis of its own`,
  );
}

/** Starts it on a free port, waits until it serves, and returns its URL. */
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
      (await pingRedis({ url, timeoutMs: PING_TIMEOUT_MS, signal })) === null ? true : undefined,
    everyMs: POLL_MS,
    limitMs: OWN_ANSWERS_MS,
    onLimit: () =>
      new CliError(
        `redis-server does not answer within ${OWN_ANSWERS_MS / 1000} s; its log is ${redis.logFile}`,
      ),
    signal,
  });
  return url;
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

/** For messages. */
export function withoutPassword(url: string): string {
  const parsed = new URL(url);
  parsed.username = '';
  parsed.password = '';
  return parsed.href;
}
