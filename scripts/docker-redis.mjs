/** The last resort: a Redis in a container, for as long as the command runs. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SetUpFailure } from './failure.mjs';
import { runTool } from './tool.mjs';

const IMAGE = 'redis:8-alpine';
const ENGINE_ANSWERS_MS = 3000;
const COMMAND_TIMEOUT_MS = 10_000;
/** A full append-only file is read before the first answer. */
const READY_TIMEOUT_MS = 30_000;
const READY_POLL_MS = 200;

/**
 * Whether there is a Docker engine, not only its command.
 * @param {NodeJS.ProcessEnv} env
 */
export function dockerAnswers(env) {
  const { status } = spawnSync('docker', ['info'], {
    env,
    timeout: ENGINE_ANSWERS_MS,
    stdio: 'ignore',
  });
  return status === 0;
}

/**
 * The container and its volume are named after the folder, so jobs outlive the container and a
 * container that a killed run left behind is found and used again.
 * @param {import('./redis.mjs').SetUp} setUp
 * @returns {Promise<import('./redis.mjs').ProvidedRedis>}
 */
export async function runRedisInDocker({ root, env, stops, progress }) {
  const name = `qarr-redis-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`;
  progress.start(`there is no redis-server: starting ${IMAGE} by Docker as ${name}`);
  if (!docker({ args: ['inspect', name], env }).ok) {
    const { code } = await runTool({
      command: 'docker',
      args: runArguments(name),
      cwd: root,
      env,
      stops,
      ownGroup: true,
    });
    if (code !== 0) {
      throw new SetUpFailure(
        `Docker could not run ${IMAGE} (its reason is above); install redis-server, or set REDIS_URL`,
      );
    }
  }
  const isOurs = !stackRuns(root);
  const stop = async () => {
    if (isOurs) docker({ args: ['stop', '--time', '3', name], env });
  };
  try {
    await waitUntilItAnswers({ name, env, stops });
    const port = docker({ args: ['port', name, '6379'], env })
      .text.split(':')
      .at(-1);
    const url = `redis://127.0.0.1:${port}`;
    progress.done(`Redis runs by Docker as ${name} at ${url}, and is stopped at the end`);
    return { summary: `Redis by Docker at ${url}`, env: { REDIS_URL: url }, folder: null, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Another stack in this folder uses the container already; the command is about to refuse.
 * @param {string} root
 */
function stackRuns(root) {
  try {
    const { pid } = JSON.parse(readFileSync(path.join(root, '.qarr', 'up.json'), 'utf8'));
    process.kill(pid, 0);
    return true;
  } catch {
    // No lock, or its process is gone.
    return false;
  }
}

/** @param {string} name */
function runArguments(name) {
  const container = ['--detach', '--rm', '--name', name, '--volume', `${name}:/data`];
  const settings = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''];
  const policy = ['--maxmemory-policy', 'noeviction'];
  return ['run', ...container, '--publish', '127.0.0.1::6379', IMAGE, ...settings, ...policy];
}

/**
 * @param {{
 *   name: string,
 *   env: NodeJS.ProcessEnv,
 *   stops: import('./stop-requests.mjs').StopRequests,
 * }} options
 */
async function waitUntilItAnswers({ name, env, stops }) {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (docker({ args: ['exec', name, 'redis-cli', 'ping'], env }).text !== 'PONG') {
    stops.throwIfRequested();
    if (performance.now() > deadlineMs) {
      throw new SetUpFailure(
        `Redis in the container ${name} does not answer within ${READY_TIMEOUT_MS / 1000} s; see docker logs ${name}`,
      );
    }
    await sleep(READY_POLL_MS);
  }
}

/**
 * @param {{ args: string[], env: NodeJS.ProcessEnv }} options
 * @returns {{ ok: boolean, text: string }}
 */
function docker({ args, env }) {
  const { status, stdout } = spawnSync('docker', args, {
    env,
    encoding: 'utf8',
    timeout: COMMAND_TIMEOUT_MS,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { ok: status === 0, text: (stdout ?? '').trim() };
}
