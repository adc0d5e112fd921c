/** The steps of every command, in order. Read this first. */
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { needsChromium, provideChromium } from './chromium.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { SetUpFailure } from './failure.mjs';
import { checkLocalNode } from './local-node.mjs';
import { createProgress } from './progress.mjs';
import { needsPrometheusTools, providePrometheusTools } from './prometheus-tools.mjs';
import { needsNothing, provideRedis } from './redis.mjs';
import { runCommand } from './run-command.mjs';
import { StopRequested, createStopRequests } from './stop-requests.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const localNode = path.join(root, 'node_modules', '.bin', 'node');

/** Any command of the CLI. What it prints may be for a program, and it asks what runs already. */
const CLI = 'qarr';

/** What starts systems of its own. */
const TESTS = [
  'test',
  'conformance',
  'chaos',
  'soak',
  'fuzz',
  'overload',
  'batches',
  'batch-rate',
  'bench',
  'scale',
  'sizing',
];

/**
 * What runs at the end of each command; null: nothing.
 *
 * `stopIsSuccess`: a server that was told to stop, and stopped, did what it should. Tests that
 * were stopped did not.
 * @type {Record<string, { args: string[] | null, stopIsSuccess: boolean }>}
 */
const COMMANDS = {
  up: { args: ['apps/cli/src/main.ts', 'up'], stopIsSuccess: true },
  demo: { args: ['apps/cli/src/main.ts', 'up', '--exit-after-demo'], stopIsSuccess: true },
  test: { args: ['node_modules/vitest/vitest.mjs', 'run'], stopIsSuccess: false },
  conformance: { args: ['test/conformance/main.ts'], stopIsSuccess: false },
  chaos: { args: ['test/chaos/main.ts'], stopIsSuccess: false },
  soak: { args: ['test/soak/main.ts'], stopIsSuccess: false },
  fuzz: { args: ['test/fuzz/main.ts'], stopIsSuccess: false },
  overload: { args: ['test/overload/main.ts'], stopIsSuccess: false },
  batches: { args: ['test/batch/main.ts'], stopIsSuccess: false },
  bench: { args: ['bench/main.ts'], stopIsSuccess: false },
  'batch-rate': { args: ['test/batch/rate.ts'], stopIsSuccess: false },
  scale: { args: ['test/scale/main.ts'], stopIsSuccess: false },
  sizing: { args: ['test/scale/sizing/main.ts'], stopIsSuccess: false },
  setup: { args: null, stopIsSuccess: false },
  [CLI]: { args: ['apps/cli/src/main.ts'], stopIsSuccess: false },
};

/**
 * Sets `process.exitCode`; never throws.
 * @param {string[]} argv the command and its arguments
 */
export async function runEntry([name = '', ...extra]) {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    console.error(`qarr: unknown command "${name}"; one of: ${Object.keys(COMMANDS).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const env = { ...process.env };
  const stops = createStopRequests({ watchParent: env['npm_lifecycle_event'] !== undefined });
  try {
    process.exitCode = await runSteps({ name, command, extra, env, stops });
  } catch (error) {
    process.exitCode = exitCodeOf(error, command);
  } finally {
    stops.stop();
  }
}

/**
 * @param {{
 *   name: string,
 *   command: { args: string[] | null, stopIsSuccess: boolean },
 *   extra: string[],
 *   env: NodeJS.ProcessEnv,
 *   stops: import('./stop-requests.mjs').StopRequests,
 * }} options
 * @returns {Promise<number>} the exit code
 */
async function runSteps({ name, command, extra, env, stops }) {
  const isCli = name === CLI;
  const progress = createProgress(isCli ? process.stderr : process.stdout);
  const dependencies = await ensureDependencies({ root, localNode, env, stops, progress });
  const nodeVersion = checkLocalNode(localNode);
  const isTest = TESTS.includes(name);
  const redis = isCli
    ? needsNothing('')
    : await provideRedis({ root, isTest, env, stops, progress });
  try {
    const browser =
      name === 'test' && needsChromium(extra)
        ? await provideChromium({ root, env, stops, progress })
        : null;
    const tools = needsPrometheusTools({ name, extra })
      ? await providePrometheusTools({ root, env, stops, progress, extra })
      : '';
    const parts = [
      dependencies,
      `Node ${nodeVersion}`,
      redis.summary,
      browser?.summary ?? '',
      tools,
    ];
    if (!isCli) progress.done(`set-up: ${parts.filter((part) => part !== '').join(', ')}`);
    if (command.args === null) return 0;
    return await runCommand({
      executable: localNode,
      args: [...command.args, ...extra],
      cwd: root,
      env: { ...env, ...redis.env, ...browser?.env, PATH: childPath(env, redis.folder) },
      stops,
      // A terminal's Ctrl-C has reached the child too, and vitest takes a second one as "at once".
      // The stack's own process knows that two signals in the same moment are one.
      interruptsTwice: !isTest,
      stopIsSuccess: command.stopIsSuccess,
    });
  } finally {
    await redis.stop();
  }
}

/**
 * The Node of the lockfile comes first, and the folder of redis-server is found as well.
 * @param {NodeJS.ProcessEnv} env
 * @param {string | null} redisFolder
 */
function childPath(env, redisFolder) {
  const folders = [path.dirname(localNode), env['PATH'] ?? '', redisFolder ?? ''];
  return folders.filter((folder) => folder !== '').join(path.delimiter);
}

/**
 * @param {unknown} error
 * @param {{ stopIsSuccess: boolean }} command
 */
function exitCodeOf(error, command) {
  if (error instanceof StopRequested) {
    console.error(`qarr: stopped during set-up (${error.signal})`);
    return command.stopIsSuccess ? 0 : error.exitCode;
  }
  if (error instanceof SetUpFailure) console.error(`qarr: ${error.message}`);
  else console.error('qarr: the set-up failed unexpectedly:', error);
  return 1;
}
