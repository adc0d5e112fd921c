/**
 * Makes sure that the command finds a Redis: one that is given, a `redis-server` that the command
 * starts itself, or a container.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { installByApt } from './apt.mjs';
import { dockerAnswers, runRedisInDocker } from './docker-redis.mjs';
import { SetUpFailure } from './failure.mjs';
import { runTool } from './tool.mjs';

/** The stack refuses an older one. */
const OLDEST_REDIS = 7;
/** Where package managers put it; not every shell has these folders on its PATH. */
const USUAL_FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];
const ANSWER_TIMEOUT_MS = 3000;

/**
 * @typedef {object} SetUp
 * @property {string} root
 * @property {NodeJS.ProcessEnv} env
 * @property {import('./stop-requests.mjs').StopRequests} stops
 * @property {import('./progress.mjs').Progress} progress
 */

/**
 * @typedef {object} ProvidedRedis
 * @property {string} summary for people
 * @property {NodeJS.ProcessEnv} env what the command needs to know
 * @property {string | null} folder where redis-server lies, when the command starts it
 * @property {() => Promise<void>} stop
 */

/**
 * @param {SetUp & { isTest: boolean }} options
 * @returns {Promise<ProvidedRedis>}
 */
export async function provideRedis({ isTest, ...setUp }) {
  const variable = isTest ? 'TEST_REDIS_URL' : 'REDIS_URL';
  if (setUp.env[variable]) return needsNothing(`Redis of ${variable}`);

  const found = findRedisServer(setUp.env);
  if (found !== null && found.major >= OLDEST_REDIS) return startsItself(found);
  if (isTest && dockerAnswers(setUp.env)) return needsNothing('Redis by Docker');

  const installed = await install(setUp);
  if (installed !== null && installed.major >= OLDEST_REDIS) return startsItself(installed);
  if (!isTest && dockerAnswers(setUp.env)) return runRedisInDocker(setUp);

  const problem =
    installed === null ? 'there is no redis-server' : `redis-server is ${installed.version}`;
  throw new SetUpFailure(
    `${problem}, and neither a package manager nor Docker could provide one: install Redis ${OLDEST_REDIS} or later (https://redis.io/docs/latest/operate/oss_and_stack/install/), start Docker, or set ${variable}`,
  );
}

/**
 * @param {SetUp} setUp
 * @returns {Promise<RedisServer | null>} what is there afterwards
 */
async function install({ root, env, stops, progress }) {
  if (process.platform === 'darwin') {
    progress.start('installing redis by brew');
    const { code } = await runTool({
      command: 'brew',
      args: ['install', 'redis'],
      cwd: root,
      env: { ...env, NONINTERACTIVE: '1' },
      stops,
    });
    if (code === 0) progress.done('redis-server installed by brew');
  } else {
    await installByApt('redis-server', { root, env, stops, progress });
  }
  return findRedisServer(env);
}

/** @typedef {{ folder: string, version: string, major: number }} RedisServer */

/**
 * The first redis-server that can be run.
 * @param {NodeJS.ProcessEnv} env
 * @returns {RedisServer | null}
 */
function findRedisServer(env) {
  const folders = [...(env['PATH'] ?? '').split(path.delimiter), ...USUAL_FOLDERS];
  for (const folder of folders.filter((name) => name !== '')) {
    const file = path.join(folder, 'redis-server');
    if (!isExecutable(file)) continue;
    const { stdout } = spawnSync(file, ['--version'], {
      encoding: 'utf8',
      timeout: ANSWER_TIMEOUT_MS,
    });
    const version = /\bv=(\d+[\d.]*)/.exec(stdout ?? '')?.[1];
    if (version !== undefined) return { folder, version, major: Number.parseInt(version, 10) };
  }
  return null;
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    // Not there, or not ours to run: the next folder may have one.
    return false;
  }
}

/**
 * @param {RedisServer} server
 * @returns {ProvidedRedis}
 */
function startsItself({ folder, version }) {
  return { ...needsNothing(`redis-server ${version}`), folder };
}

/**
 * @param {string} summary
 * @returns {ProvidedRedis}
 */
export function needsNothing(summary) {
  return { summary, env: {}, folder: null, stop: () => Promise.resolve() };
}
