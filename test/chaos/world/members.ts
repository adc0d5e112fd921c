/** The processes of a world: what each is started with, and what shows that it is ready. */
import { join } from 'node:path';
import type { History } from '../history.ts';
import { createMember } from './member.ts';
import type { Member } from './member.ts';
import { ENGINE_SEED } from './shape.ts';

interface Base {
  /** Root of the workspace whose processes are started. */
  readonly source: string;
  readonly folder: string;
  readonly history: History;
  readonly name: string;
}

export function createEngine({
  timeScale,
  flags = [],
  source,
  ...base
}: Base & { timeScale: number; flags?: readonly string[] }): Member {
  return createMember({
    ...base,
    kind: 'engine',
    script: join(source, 'apps/vllm-sim/src/main.ts'),
    command: (port) => ({
      args: [
        `--port=${port}`,
        `--seed=${ENGINE_SEED}`,
        '--profile=awq-24gb',
        `--time-scale=${timeScale}`,
        ...flags,
      ],
      env: {},
    }),
    readStart: engineUrl,
  });
}

export function createWorker({
  tier,
  redisUrl,
  config,
  enginePorts,
  env = {},
  source,
  ...base
}: Base & {
  tier: string;
  redisUrl: string;
  config: string;
  enginePorts: readonly string[];
  /** Beside what all have. */
  env?: Readonly<Record<string, string>>;
}): Member {
  return createMember({
    ...base,
    kind: 'worker',
    script: join(source, 'apps/worker/src/main.ts'),
    command: () => ({
      args: ['--tier', tier],
      env: {
        ...WORKER_ENV,
        REDIS_URL: redisUrl,
        QARR_CONFIG: config,
        QARR_UPSTREAM_URL: enginePorts.map((port) => `http://127.0.0.1:${port}`).join(),
        ...env,
      },
    }),
    readStart: workerUrl,
  });
}

export function createApi({
  redisUrl,
  config,
  env = {},
  source,
  ...base
}: Base & {
  redisUrl: string;
  config: string;
  /** Beside what all have. */
  env?: Readonly<Record<string, string>>;
}): Member {
  return createMember({
    ...base,
    kind: 'api',
    script: join(source, 'apps/api/src/main.ts'),
    command: (port) => ({
      args: [],
      env: {
        ...API_ENV,
        PORT: String(port),
        REDIS_URL: redisUrl,
        QARR_CONFIG: config,
        QARR_FILES_DIR: join(base.folder, 'files'),
        ...env,
      },
    }),
    readStart: apiUrl,
  });
}

/** Soon enough that a run of some seconds sees what production sees in minutes. */
const WORKER_ENV = {
  OPS_PORT: '0',
  QARR_CONCURRENCY: '16',
  // One is enough to learn what an engine can do.
  QARR_WARMUP_REQUESTS: '1',
  QARR_CANARY_TIMEOUT_MS: '2000',
  QARR_CANARY_EVERY_MS: '2000',
  QARR_BREAKER_OPEN_MS: '1000',
  QARR_HEADERS_TIMEOUT_MS: '5000',
  QARR_FIRST_TOKEN_TIMEOUT_MS: '5000',
  QARR_IDLE_TIMEOUT_MS: '8000',
  QARR_DRAIN_MS: '1000',
} as const;

const API_ENV = {
  OPS_PORT: '0',
  QARR_DRAIN_MS: '1000',
  // Also how soon a reader looks at the log whose live messages were lost.
  QARR_HEARTBEAT_MS: '1000',
} as const;

function engineUrl(line: string): string | null {
  return line.startsWith('{') ? ((JSON.parse(line) as { url?: string }).url ?? null) : null;
}

function workerUrl(line: string): string | null {
  const { msg, ops_port: port } = JSON.parse(line) as { msg?: string; ops_port?: number };
  return msg === 'worker started' ? `http://127.0.0.1:${port}` : null;
}

function apiUrl(line: string): string | null {
  const { msg, address } = JSON.parse(line) as { msg?: string; address?: { port: number } };
  return msg === 'api started' ? `http://127.0.0.1:${address?.port}` : null;
}
