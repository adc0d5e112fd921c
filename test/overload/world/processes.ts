/** The processes of the system under test: what each is started with, and where it serves. */
import { join } from 'node:path';
import type { History } from '../../chaos/history.ts';
import { createMember } from '../../chaos/world/member.ts';
import type { Member } from '../../chaos/world/member.ts';
import { CONTEXT_TOKENS, DEPTH_MAX, SPARE_SEQUENCES, WORKERS_PER_TIER } from './shape.ts';
import type { Deadlines, TierShape } from './shape.ts';

const ROOT = join(import.meta.dirname, '../../..');
const DRAIN_MS = '1000';

export interface Base {
  readonly folder: string;
  readonly history: History;
}

/** With the port on which it is watched. */
export interface WatchedMember {
  readonly member: Member;
  /** Null before it has started. */
  readonly opsUrl: () => string | null;
}

export function createEngine(tier: TierShape, { folder, history }: Base): Member {
  return createMember({
    folder,
    history,
    name: `engine-${tier.name}`,
    kind: 'engine',
    script: join(ROOT, 'apps/vllm-sim/src/main.ts'),
    command: (port) => ({
      args: [
        `--port=${port}`,
        '--seed=7',
        `--profile=${tier.profile}`,
        `--time-scale=${tier.timeScale}`,
        `--max-num-seqs=${tier.slots + SPARE_SEQUENCES}`,
        // A worker begins with as many jobs as surely fit the KV cache: that must be all of its slots.
        `--max-model-len=${CONTEXT_TOKENS}`,
      ],
      env: {},
    }),
    readStart: (line) => (line.startsWith('{') ? textIn(JSON.parse(line), 'url') : null),
  });
}

export function createWorker(
  { name, tier, env }: { name: string; tier: TierShape; env: Readonly<Record<string, string>> },
  { folder, history }: Base,
): WatchedMember {
  const member = createMember({
    folder,
    history,
    name,
    kind: 'worker',
    script: join(ROOT, 'apps/worker/src/main.ts'),
    command: () => ({
      args: ['--tier', tier.name],
      env: {
        OPS_PORT: '0',
        QARR_CONCURRENCY: String(tier.slots / WORKERS_PER_TIER),
        QARR_WARMUP_REQUESTS: '2',
        QARR_DRAIN_MS: DRAIN_MS,
        ...env,
      },
    }),
    readStart: (line) => startedAt(line, 'worker started', 'ops_port'),
  });
  return { member, opsUrl: () => (member.url === '' ? null : member.url) };
}

export function createApi(
  {
    name,
    env,
    deadlines,
  }: { name: string; env: Readonly<Record<string, string>>; deadlines: Deadlines },
  { folder, history }: Base,
): WatchedMember {
  let opsUrl: string | null = null;
  const member = createMember({
    folder,
    history,
    name,
    kind: 'api',
    script: join(ROOT, 'apps/api/src/main.ts'),
    command: (port) => ({
      args: [],
      env: {
        PORT: String(port),
        OPS_PORT: '0',
        QARR_FILES_DIR: join(folder, 'files'),
        QARR_DRAIN_MS: DRAIN_MS,
        QARR_INTERACTIVE_QUEUE_MS: String(deadlines.interactiveQueueMs),
        QARR_STANDARD_QUEUE_MS: String(deadlines.standardQueueMs),
        QARR_BATCH_QUEUE_MS: String(deadlines.batchQueueMs),
        QARR_RUN_TIMEOUT_MS: String(deadlines.runMs),
        QARR_QUEUE_DEPTH_MAX: String(DEPTH_MAX),
        // A line for each job is not what is measured.
        LOG_LEVEL: 'info',
        ...env,
      },
    }),
    readStart(line) {
      opsUrl = startedAt(line, 'api started', 'ops_port') ?? opsUrl;
      return startedAt(line, 'api started', 'address');
    },
  });
  return { member, opsUrl: () => opsUrl };
}

function startedAt(line: string, message: string, field: 'ops_port' | 'address'): string | null {
  if (!line.includes(message)) return null;
  const said = JSON.parse(line) as {
    msg?: string;
    ops_port?: number;
    address?: { port: number };
  };
  if (said.msg !== message) return null;
  const port = field === 'address' ? said.address?.port : said.ops_port;
  return `http://127.0.0.1:${port}`;
}

function textIn(value: unknown, field: string): string | null {
  const text = (value as Record<string, unknown>)[field];
  return typeof text === 'string' ? text : null;
}
