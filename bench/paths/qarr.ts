/**
 * QARR from some sources, as its users run it: every process by its own `main.ts`, with the environment that
 * `qarr up` gives it; keys on, with limits; metrics on; the level of logs as it is by default.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Path, PathContext, PathProcess, ProcessRole, RunningPath } from './path.ts';

/** More than the largest load has at once. */
const SLOTS = '1024';
/** High enough for every load, so that they are counted and refuse nothing. */
const LIMITS = [
  '--rpm',
  '1000000000',
  '--concurrency',
  '1000000',
  '--tokens-per-day',
  '1000000000',
];
const SCOPES = 'submit,read,cancel,batch,admin';
/** One tier, so that every request goes to the workers that are counted. */
const CONFIG = `tiers:
  - { name: fast, precision: awq-int4, max_model_len: 32768 }
routing:
  rules:
    - { tier: fast, when: default }
`;
const START_MS = 60_000;
const POLL_MS = 20;
/** Streams are over when it is stopped. */
const DRAIN_MS = '1000';
const KILL_AFTER_MS = 15_000;

export interface RunningQarr extends RunningPath {
  /** Where its processes show their metrics. */
  readonly ops: readonly { readonly role: ProcessRole; readonly url: string }[];
  readonly apiUrl: string;
  startWorker(): Promise<PathProcess & { readonly opsUrl: string }>;
  startBatchRunner(): Promise<{ readonly pid: number }>;
}

export interface QarrPath extends Path {
  readonly root: string;
  /** `env`: beyond what every process gets. */
  start(context: PathContext, env?: Readonly<Record<string, string>>): Promise<RunningQarr>;
}

export function createQarrPath({ name, root }: { name: string; root: string }): QarrPath {
  return { name, root, hasRedis: true, start: (context, env = {}) => start(root, context, env) };
}

export function isQarr(path: RunningPath): path is RunningQarr {
  return 'ops' in path;
}

async function start(
  root: string,
  context: PathContext,
  moreEnv: Readonly<Record<string, string>>,
): Promise<RunningQarr> {
  const { folder, redisUrl, shape, signal } = context;
  await mkdir(folder, { recursive: true });
  const configFile = join(folder, 'qarr.config.yaml');
  await writeFile(configFile, CONFIG);
  const env = {
    PATH: process.env['PATH'] ?? '',
    REDIS_URL: redisUrl,
    QARR_CONFIG: configFile,
    QARR_FILES_DIR: join(folder, 'files'),
    QARR_DRAIN_MS: DRAIN_MS,
    OPS_PORT: '0',
    NODE_COMPILE_CACHE: join(folder, 'compile-cache'),
    ...moreEnv,
  };
  const keyEnv = { ...env, QARR_KEY_SECRETS: randomBytes(32).toString('base64') };
  const children: ChildProcess[] = [];
  const orphaned = () => children.forEach((child) => child.kill('SIGKILL'));
  process.once('exit', orphaned);

  async function launch(
    label: string,
    { args, ready, env: own }: { args: string[]; ready: string; env: Record<string, string> },
  ): Promise<{ pid: number; said: StartLine }> {
    const logFile = join(folder, `${label}-${children.length}.log`);
    const log = await open(logFile, 'a');
    const child = spawn(process.execPath, args, {
      cwd: folder,
      env: own,
      stdio: ['ignore', log.fd, log.fd],
    });
    children.push(child);
    await log.close();
    const said = await untilSaid(logFile, { ready, child, signal });
    return { pid: child.pid ?? 0, said };
  }

  async function startWorker() {
    const { pid, said } = await launch('worker', {
      args: [join(root, 'apps/worker/src/main.ts'), '--tier', 'fast'],
      ready: 'worker started',
      env: { ...env, QARR_UPSTREAM_URL: context.upstreamUrl, QARR_CONCURRENCY: SLOTS },
    });
    return { role: 'worker' as const, pid, opsUrl: opsUrlOf(said) };
  }

  async function stop(): Promise<void> {
    process.off('exit', orphaned);
    await Promise.all(children.map(end));
  }

  try {
    const apis = [];
    for (let index = 0; index < shape.apis; index += 1) {
      const { pid, said } = await launch('api', {
        args: [join(root, 'apps/api/src/main.ts')],
        ready: 'api started',
        env: { ...keyEnv, PORT: '0' },
      });
      apis.push({ pid, url: `http://127.0.0.1:${said.address?.port}`, opsUrl: opsUrlOf(said) });
    }
    const key = await makeKey(root, { env: keyEnv, signal });
    const headers = { authorization: `Bearer ${key}` };
    const workers = [];
    for (let index = 0; index < shape.workers; index += 1) workers.push(await startWorker());
    const apiUrl = apis[0]?.url ?? '';
    await untilServed(apiUrl, { headers, workers: shape.workers, signal });
    return {
      urls: apis.map(({ url }) => `${url}/v1/chat/completions`),
      headers,
      processes: [
        ...apis.map(({ pid }) => ({ role: 'api' as const, pid })),
        ...workers.map(({ role, pid }) => ({ role, pid })),
      ],
      ops: [
        ...apis.map(({ opsUrl }) => ({ role: 'api' as const, url: opsUrl })),
        ...workers.map(({ role, opsUrl }) => ({ role, url: opsUrl })),
      ],
      apiUrl,
      startWorker,
      async startBatchRunner() {
        return launch('batch-runner', {
          args: [join(root, 'apps/api/src/batch-runner/main.ts')],
          ready: 'batch runner started',
          env,
        });
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface StartLine {
  readonly msg?: string;
  readonly ops_port?: number;
  readonly address?: { readonly port: number };
}

/** Waits for the line of a log that says that its process is there. */
async function untilSaid(
  logFile: string,
  { ready, child, signal }: { ready: string; child: ChildProcess; signal: AbortSignal },
): Promise<StartLine> {
  const deadlineMs = performance.now() + START_MS;
  while (performance.now() < deadlineMs) {
    const text = await readFile(logFile, 'utf8');
    const lines = text.split('\n').filter((line) => line.includes(`"${ready}"`));
    const said = lines[0] === undefined ? null : (JSON.parse(lines[0]) as StartLine);
    if (said !== null) return said;
    if (child.exitCode !== null) throw new Error(`A process of QARR ended: ${text.slice(-1_000)}`);
    await sleep(POLL_MS, undefined, { signal });
  }
  throw new Error(`${ready} is not said within ${START_MS / 1_000} s; see ${logFile}`);
}

function opsUrlOf(said: StartLine): string {
  return `http://127.0.0.1:${said.ops_port}`;
}

async function makeKey(
  root: string,
  { env, signal }: { env: Record<string, string>; signal: AbortSignal },
): Promise<string> {
  const tool = join(root, 'apps/api/src/keys/main.ts');
  const args = [tool, 'create', '--owner', 'bench', '--scopes', SCOPES, ...LIMITS];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env, signal });
  return stdout.trim();
}

/** Until the API sees all workers, and takes jobs. */
async function untilServed(
  apiUrl: string,
  {
    headers,
    workers,
    signal,
  }: { headers: Readonly<Record<string, string>>; workers: number; signal: AbortSignal },
): Promise<void> {
  const deadlineMs = performance.now() + START_MS;
  while (performance.now() < deadlineMs) {
    const response = await fetch(`${apiUrl}/v1/tiers`, { headers, signal });
    const { tiers } = (await response.json()) as {
      tiers?: { workers: unknown[]; slots: number }[];
    };
    const [tier] = tiers ?? [];
    const hasSlots = workers === 0 || (tier?.slots ?? 0) > 0;
    if (tier?.workers.length === workers && hasSlots) return;
    await sleep(POLL_MS, undefined, { signal });
  }
  throw new Error(`QARR does not serve within ${START_MS / 1_000} s`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exited;
  clearTimeout(late);
}
