/**
 * The life of `qarr up`: everything is started in order, asked three questions, serves, and is
 * stopped in the opposite order. Read this first.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeRedis } from '@qarr/router-core';
import { startApi, waitUntilReady } from './stack/api.ts';
import { startBatchRunner } from './stack/batch-runner.ts';
import { createCleanup } from './processes/cleanup.ts';
import type { Cleanup } from './processes/cleanup.ts';
import { messageOf } from './cli-error.ts';
import type { UpConfig } from './config.ts';
import { runDemo } from './demo/demo.ts';
import { makeUpKey } from './keys/keys.ts';
import { startEngines } from './stack/engines.ts';
import { invite } from './invitation.ts';
import { acquireLock } from './processes/lock.ts';
import type { Lock } from './processes/lock.ts';
import { freePort, hostInUrl, reachableHost, requireFreePort } from './processes/ports.ts';
import { requireGivenRedis, startOwnRedis } from './stack/redis.ts';
import type { Screen } from './screen.ts';
import { createSupervisor } from './processes/supervisor.ts';
import type { Supervisor } from './processes/supervisor.ts';
import { chooseOpsPorts, targetsFor } from './stack/watching.ts';
import { STOP_SHARES_MS } from './stack/stop-shares.ts';
import { startWorkers } from './stack/workers.ts';

export interface UpDeps {
  readonly config: UpConfig;
  readonly screen: Screen;
  /** Aborted: stop everything in order. */
  readonly stopSignal: AbortSignal;
  /** Aborted: end everything at once. */
  readonly killSignal: AbortSignal;
  readonly exitsAfterDemo: boolean;
}

/** Resolves when all is stopped, as it was asked to; throws a CliError of one line otherwise. */
export async function up(deps: UpDeps): Promise<void> {
  const cleanup = createCleanup();
  const over = new AbortController();
  try {
    await startAndServe(deps, { cleanup, overSignal: over.signal });
  } catch (error) {
    // What a stop interrupted is not a failure.
    if (!deps.stopSignal.aborted) throw error;
  } finally {
    // Of several things that are waited for at once, one failed: the others are not waited for.
    over.abort();
    await cleanup.stop();
    deps.screen.line('stopped');
  }
}

async function startAndServe(
  { config, screen, stopSignal, killSignal, exitsAfterDemo }: UpDeps,
  { cleanup, overSignal }: { cleanup: Cleanup; overSignal: AbortSignal },
): Promise<void> {
  const folder = path.join(config.folder, '.qarr');
  const logFolder = path.join(folder, 'logs');
  const say = (line: string) => screen.line(line);
  const lock = await acquireLock({ folder, say });
  cleanup.add(() => lock.release());
  // What an earlier run wrote would be read as this one's.
  rmSync(logFolder, { recursive: true, force: true });
  mkdirSync(logFolder);

  const supervisor = createSupervisor({ lock, logFolder, say });
  killSignal.addEventListener('abort', () => supervisor.killAll(), { once: true });
  const signal = AbortSignal.any([stopSignal, supervisor.failed, overSignal]);

  const { baseUrl, apiKey } = await start({
    config,
    screen,
    folder,
    lock,
    supervisor,
    cleanup,
    signal,
  });
  supervisor.serving();
  try {
    await runDemo({ baseUrl, apiKey, tiers: config.tiers, screen, signal });
  } catch (error) {
    signal.throwIfAborted();
    if (exitsAfterDemo) throw error;
    screen.problem(`qarr: ${messageOf(error)}`);
  }
  if (exitsAfterDemo) return;
  invite({ baseUrl, hasKeys: apiKey !== null, logFolder, screen });
  await aborted(signal);
  if (stopSignal.aborted) return;
  signal.throwIfAborted();
}

/** Everything up to the moment at which it serves; returns where, and a key if one is asked for. */
async function start({
  config,
  screen,
  folder,
  lock,
  supervisor,
  cleanup,
  signal,
}: {
  config: UpConfig;
  screen: Screen;
  folder: string;
  lock: Lock;
  supervisor: Supervisor;
  cleanup: Cleanup;
  signal: AbortSignal;
}): Promise<{ baseUrl: string; apiKey: string | null }> {
  const port = await choosePorts(config);
  const baseUrl = `http://${hostInUrl(reachableHost(config.host))}:${port}`;
  const env: NodeJS.ProcessEnv = {
    ...config.childEnv,
    ...(config.configFile === null ? {} : { QARR_CONFIG: config.configFile }),
    ...(config.hasFileStore ? {} : { QARR_FILES_DIR: path.join(folder, 'files') }),
    // Each start after the first saves the time to compile.
    NODE_COMPILE_CACHE: path.join(folder, 'compile-cache'),
  };
  const deps = { config, env, supervisor, cleanup, signal };
  const { opsHost, opsPort, tiers } = config;
  const count = 1 + tiers.reduce((sum, { workers }) => sum + workers, 0);
  const [batchRunner = 0, ...workersAt] = await chooseOpsPorts({
    host: opsHost,
    opsPort,
    port,
    count,
  });

  const redisUrl = await screen.step('Redis', () => provideRedis({ ...deps, folder, lock }));
  warnOfMixture(config, screen);
  const withRedis = { ...deps, env: { ...env, REDIS_URL: redisUrl } };
  // It needs no engine, and takes longest to load.
  const api = startApi({ ...withRedis, port });
  const stopApi = () => api.stop(STOP_SHARES_MS.api);
  cleanup.add(stopApi);
  const engines = await screen.step('engines', async () => {
    const result = await startEngines(deps);
    const summary = result
      .map(({ tier, description }) => `${tier.name}: ${description}`)
      .join('; ');
    return { result, summary };
  });
  for (const { warnings } of engines) {
    for (const warning of warnings) screen.line(`warning: ${warning}`);
  }
  const apiKey = await screen.step('workers and API', async () => {
    const workers = startWorkers({ ...withRedis, engines, opsPorts: workersAt });
    startBatchRunner({ ...withRedis, opsPort: batchRunner });
    // Before the workers: nobody shall wait for what they do not take any more.
    cleanup.add(stopApi);
    const { keySecrets } = config;
    const keyEnv = { ...withRedis.env, ...keySecrets };
    const key = keySecrets === null ? null : await makeUpKey({ env: keyEnv, signal });
    const warnings = await waitUntilReady({ baseUrl, apiKey: key, api, workers, signal });
    for (const warning of warnings) screen.line(`warning: ${warning}`);
    const summary = `${workers.length} ${workers.length === 1 ? 'worker' : 'workers'}, ${baseUrl}`;
    return { result: key, summary: key === null ? summary : `${summary}, keys are on` };
  });
  const targets = targetsFor({
    host: reachableHost(opsHost),
    api: opsPort,
    batchRunner,
    workers: workersAt,
    engines: engines.map(({ tier, urls }) => ({ tier: tier.name, urls })),
  });
  const targetsFile = path.join(folder, 'prometheus-targets.json');
  cleanup.add(async () => rmSync(targetsFile, { force: true }));
  writeFileSync(targetsFile, JSON.stringify(targets, null, 2));
  return { baseUrl, apiKey };
}

/** Returns the API's port. */
async function choosePorts({ host, port, opsHost, opsPort }: UpConfig): Promise<number> {
  if (port !== 0) await requireFreePort({ host, port, variable: 'PORT' });
  if (opsPort !== 0) await requireFreePort({ host: opsHost, port: opsPort, variable: 'OPS_PORT' });
  return port === 0 ? freePort(host) : port;
}

/** Invented text among real answers is nothing that anybody wants by accident. */
function warnOfMixture({ tiers }: UpConfig, screen: Screen): void {
  const simulated = tiers.filter(({ engineUrls }) => engineUrls.length === 0);
  if (simulated.length === 0 || simulated.length === tiers.length) return;
  for (const { name } of simulated) {
    screen.line(`warning: ${name} is simulated, while other tiers have engines of yours`);
  }
}

async function provideRedis({
  config,
  folder,
  lock,
  ...deps
}: {
  config: UpConfig;
  folder: string;
  lock: Lock;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  cleanup: Cleanup;
  signal: AbortSignal;
}): Promise<{ result: string; summary: string }> {
  const { redisUrl } = config;
  if (redisUrl !== null) {
    await requireGivenRedis(redisUrl);
    return { result: redisUrl, summary: `${describeRedis(redisUrl)} (REDIS_URL)` };
  }
  const url = await startOwnRedis({ folder, ...deps });
  lock.noteRedis(url);
  return { result: url, summary: `its own at ${url}, data in .qarr/redis` };
}

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
