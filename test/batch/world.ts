/** The whole system as its real processes: a Redis with AOF, APIs, runners, workers, and their engines. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistory } from '../chaos/history.ts';
import { usesAll } from '../chaos/world/engine-state.ts';
import { createMember } from '../chaos/world/member.ts';
import type { Member } from '../chaos/world/member.ts';
import { startWorldRedis } from '../chaos/world/redis.ts';
import type { WorldRedis } from '../chaos/world/redis.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWitness } from './witness.ts';
import type { SeenRuns, Witness } from './witness.ts';

const ROOT = join(import.meta.dirname, '../..');
const READY_TIMEOUT_MS = 60_000;
/** All engines speak alike, so that each answer can be compared. */
export const ENGINE_SEED = '7';
const CONTEXT_TOKENS = 8_192;

export interface WorldShape {
  readonly apis: number;
  readonly runners: number;
  readonly tiers: readonly {
    readonly name: string;
    readonly workers: number;
    /** Of the simulator. */
    readonly profile: string;
  }[];
  /** Null: those that everybody has. */
  readonly rules: readonly object[] | null;
  /** Jobs at once in a worker. */
  readonly slots: number;
  /** How long finished lines wait to be durable, in ms. */
  readonly commitMs: number;
}

export interface World {
  /** Where logs and data lie. */
  readonly folder: string;
  readonly redis: WorldRedis;
  readonly apis: readonly Member[];
  readonly runners: readonly Member[];
  readonly workers: readonly Member[];
  /** What the engines were asked, by job. */
  readonly runs: SeenRuns;
  /** The runner that has the lease; null where nobody says so. */
  activeRunner(): Promise<Member | null>;
  /** Processes that have ended by themselves. */
  crashes(): string[];
  stop(options: { keepsFolder: boolean }): Promise<void>;
}

export async function startWorld(shape: WorldShape): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-batches-'));
  const history = createHistory({ path: null });
  const redis = await startWorldRedis(folder);
  const config = join(folder, 'qarr.config.yaml');
  // Every JSON is YAML.
  const routing = shape.rules === null ? {} : { routing: { rules: shape.rules } };
  const tiers = shape.tiers.map(({ name }) => ({ name }));
  await writeFile(config, JSON.stringify({ tiers, ...routing }));
  const files = join(folder, 'files');
  await mkdir(files);
  const env = {
    OPS_PORT: '0',
    REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    QARR_CONFIG: config,
    QARR_DRAIN_MS: '1000',
  };
  const runs: SeenRuns = new Map();
  const witnesses: Witness[] = [];
  const make = (spec: {
    name: string;
    kind: Member['kind'];
    script: string;
    args?: readonly string[];
    env: Readonly<Record<string, string>>;
    readStart: (line: string) => string | null;
  }) =>
    createMember({
      folder,
      history,
      ...spec,
      script: join(ROOT, spec.script),
      command: (port) => ({
        args: (spec.args ?? []).map((arg) => arg.replace('$PORT', String(port))),
        env: { ...spec.env, ...(spec.kind === 'api' ? { PORT: String(port) } : {}) },
      }),
    });

  const engines = shape.tiers.map(({ name, profile }) =>
    make({
      name: `engine-${name}`,
      kind: 'engine',
      script: 'apps/vllm-sim/src/main.ts',
      args: [
        '--port=$PORT',
        `--seed=${ENGINE_SEED}`,
        `--profile=${profile}`,
        `--max-num-seqs=${2 * shape.slots + 8}`,
        `--max-model-len=${CONTEXT_TOKENS}`,
      ],
      env: {},
      readStart: (line) =>
        line.startsWith('{') ? ((JSON.parse(line) as { url?: string }).url ?? null) : null,
    }),
  );
  await Promise.all(engines.map((engine) => engine.start()));
  const workers: Member[] = [];
  for (const [index, tier] of shape.tiers.entries()) {
    const witness = await startWitness({ targetUrl: engines[index]?.url ?? '', runs });
    witnesses.push(witness);
    for (let number = 1; number <= tier.workers; number += 1) {
      workers.push(
        make({
          name: `worker-${tier.name}-${number}`,
          kind: 'worker',
          script: 'apps/worker/src/main.ts',
          args: ['--tier', tier.name],
          env: {
            ...env,
            QARR_CONCURRENCY: String(shape.slots),
            QARR_WARMUP_REQUESTS: '1',
            QARR_UPSTREAM_URL: witness.url,
          },
          readStart: (line) => startOf(line, 'worker started', 'ops_port'),
        }),
      );
    }
  }
  const apis = numbered(shape.apis, 'api').map((name) =>
    make({
      name,
      kind: 'api',
      script: 'apps/api/src/main.ts',
      env: { ...env, QARR_FILES_DIR: files, QARR_HEARTBEAT_MS: '1000' },
      readStart: (line) => startOf(line, 'api started', 'address'),
    }),
  );
  const runners = numbered(shape.runners, 'runner').map((name) =>
    make({
      name,
      kind: 'runner',
      script: 'apps/api/src/batch-runner/main.ts',
      env: { ...env, QARR_FILES_DIR: files, QARR_BATCH_COMMIT_MS_MAX: String(shape.commitMs) },
      readStart: (line) => startOf(line, 'batch runner started', 'ops_port'),
    }),
  );
  await Promise.all([...workers, ...apis, ...runners].map((member) => member.start()));
  await waitUntil('every worker uses its engine', () => usesAll(workers), {
    timeoutMs: READY_TIMEOUT_MS,
    everyMs: 100,
  });

  return {
    folder,
    redis,
    apis,
    runners,
    workers,
    runs,
    async activeRunner() {
      for (const runner of runners) if (await hasLease(runner)) return runner;
      return null;
    },
    crashes: () =>
      history.entries.flatMap((entry) =>
        entry.t === 'process' && entry.event === 'ended by itself' ? [entry.name] : [],
      ),
    async stop({ keepsFolder }) {
      await Promise.all([...apis, ...runners, ...workers].map((member) => member.kill()));
      await Promise.all(engines.map((engine) => engine.kill()));
      await Promise.all(witnesses.map((witness) => witness.stop()));
      await redis.stop();
      if (!keepsFolder) await rm(folder, { recursive: true, force: true });
    },
  };
}

async function hasLease({ url }: Member): Promise<boolean> {
  const response = await fetch(`${url}/metrics`).catch(() => null);
  const page = (await response?.text().catch(() => '')) ?? '';
  return /^qarr_batch_lease 1$/m.test(page);
}

function numbered(count: number, kind: string): string[] {
  return Array.from({ length: count }, (_, index) => `${kind}-${index + 1}`);
}

function startOf(line: string, message: string, field: 'ops_port' | 'address'): string | null {
  if (!line.includes(message)) return null;
  const said = JSON.parse(line) as { msg?: string; ops_port?: number; address?: { port: number } };
  if (said.msg !== message) return null;
  return `http://127.0.0.1:${field === 'address' ? said.address?.port : said.ops_port}`;
}
