/** `qarr keys`: the API's own tool, told where the Redis is of the stack in this folder. */
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { CliError, messageOf } from '../cli-error.ts';
import { readRedisUrl } from '../processes/lock.ts';
import { APPLICATIONS } from '../stack/applications.ts';

/** The tool starts, asks Redis and ends. */
const LIMIT_MS = 30_000;
/** Longer than a start may take, with three answers of slow engines. */
const UP_KEY_LIVES = '15m';

/** Passes through what it prints, and returns its exit code. */
export function runKeys(
  args: readonly string[],
  { folder, env }: { folder: string; env: NodeJS.ProcessEnv },
): Promise<number> {
  const redisUrl = env['REDIS_URL']?.trim() || readRedisUrl(path.join(folder, '.qarr'));
  const child = spawn(process.execPath, [APPLICATIONS.keys, ...args], {
    cwd: folder,
    env: { ...env, ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }) },
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

/** A key for `qarr up` itself, to see all workers and to ask its three questions. */
export async function makeUpKey({
  env,
  signal,
}: {
  /** With the secrets of keys, and the URL of Redis. */
  env: NodeJS.ProcessEnv;
  signal: AbortSignal;
}): Promise<string> {
  const args = ['create', '--owner', 'qarr-up', '--scopes', 'submit,read,cancel,admin'];
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [APPLICATIONS.keys, ...args, '--expires-in', UP_KEY_LIVES],
      { env, signal, timeout: LIMIT_MS },
    );
    return stdout.trim();
  } catch (error) {
    signal.throwIfAborted();
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
    const line = said.trim().replace(/^qarr keys: /, '') || messageOf(error);
    throw new CliError(line, { cause: error });
  }
}
