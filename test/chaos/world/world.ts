/** The system under test, as its real processes: what there is, how it is wired, how it ends. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTcpProxy } from '../../harness/tcp-proxy.ts';
import type { TcpProxy } from '../../harness/tcp-proxy.ts';
import type { History } from '../history.ts';
import { createMember } from './member.ts';
import type { Member } from './member.ts';
import { startWorldRedis } from './redis.ts';
import type { WorldRedis } from './redis.ts';

/** All engines speak alike, so that each can carry on what another has begun. */
export const ENGINE_SEED = '7';

const LOOK_EVERY_MS = 100;

/** What a world consists of. */
export interface WorldShape {
  readonly apis: number;
  readonly tiers: readonly {
    readonly name: string;
    readonly workers: number;
    readonly engines: number;
  }[];
  /** Of all times of the engines: 1 is about ten milliseconds per token. */
  readonly timeScale: number;
}

export const FULL_WORLD: WorldShape = {
  apis: 2,
  tiers: [
    { name: 'fast', workers: 2, engines: 2 },
    { name: 'precise', workers: 2, engines: 1 },
  ],
  timeScale: 1,
};

export const SMALL_WORLD: WorldShape = {
  apis: 1,
  tiers: [{ name: 'fast', workers: 2, engines: 1 }],
  timeScale: 1,
};

/** A proxy on the way from one process to another. */
export interface Way {
  readonly from: string;
  readonly to: string;
  readonly proxy: TcpProxy;
}

export interface World {
  readonly shape: WorldShape;
  /** Where logs and data lie. */
  readonly folder: string;
  readonly redis: WorldRedis;
  readonly apis: readonly Member[];
  readonly workers: readonly Member[];
  readonly engines: readonly Member[];
  /** Those that can be disturbed: of some processes to Redis, and of some workers to an engine. */
  readonly ways: readonly Way[];
  /** Nothing is disturbed any more, and everything runs. */
  heal(): Promise<void>;
  /** Waits until every worker uses all of its engines; false where that does not come. */
  untilReady(options: { timeoutMs: number }): Promise<boolean>;
  stop(options: { keepsFolder: boolean }): Promise<void>;
}

export async function startWorld({
  source,
  shape,
  history,
}: {
  /** Root of the workspace whose processes are started. */
  source: string;
  shape: WorldShape;
  history: History;
}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-chaos-'));
  const redis = await startWorldRedis(folder);
  const config = join(folder, 'qarr.config.yaml');
  const [first] = shape.tiers;
  // Every JSON is YAML. The load pins tiers; what it does not pin goes to the first.
  await writeFile(
    config,
    JSON.stringify({
      tiers: shape.tiers.map(({ name }) => ({ name })),
      routing: { rules: [{ tier: first?.name, when: 'default' }] },
    }),
  );
  const ways: Way[] = [];
  const base = { folder, history };

  async function way(from: string, to: string, targetPort: number): Promise<string> {
    const proxy = await startTcpProxy({ targetPort });
    ways.push({ from, to, proxy });
    return String(proxy.port);
  }

  /** Every second process reaches Redis through a proxy: the others show what only one feels. */
  async function redisUrlFor(name: string, index: number): Promise<string> {
    const port = index % 2 === 0 ? String(redis.port) : await way(name, 'redis', redis.port);
    return `redis://127.0.0.1:${port}`;
  }

  const engines = shape.tiers.flatMap((tier) =>
    Array.from({ length: tier.engines }, (_, index) =>
      createMember({
        ...base,
        name: `engine-${tier.name}-${index + 1}`,
        kind: 'engine',
        script: join(source, 'apps/vllm-sim/src/main.ts'),
        command: (port) => ({
          args: [
            `--port=${port}`,
            `--seed=${ENGINE_SEED}`,
            '--profile=awq-24gb',
            `--time-scale=${shape.timeScale}`,
          ],
          env: {},
        }),
        readStart: engineUrl,
      }),
    ),
  );
  await Promise.all(engines.map((engine) => engine.start()));

  const workers: Member[] = [];
  for (const tier of shape.tiers) {
    const own = engines.filter(({ name }) => name.startsWith(`engine-${tier.name}-`));
    for (let index = 0; index < tier.workers; index += 1) {
      const name = `worker-${tier.name}-${index + 1}`;
      const redisUrl = await redisUrlFor(name, index);
      const ports = own.map((engine) => new URL(engine.url).port);
      // The first worker of a tier reaches its first engine through a proxy.
      if (index === 0 && own[0] !== undefined) {
        ports[0] = await way(name, own[0].name, Number(ports[0]));
      }
      workers.push(
        createMember({
          ...base,
          name,
          kind: 'worker',
          script: join(source, 'apps/worker/src/main.ts'),
          command: () => ({
            args: ['--tier', tier.name],
            env: {
              ...WORKER_ENV,
              REDIS_URL: redisUrl,
              QARR_CONFIG: config,
              QARR_UPSTREAM_URL: ports.map((port) => `http://127.0.0.1:${port}`).join(),
            },
          }),
          readStart: workerUrl,
        }),
      );
    }
  }
  const apis: Member[] = [];
  for (let index = 0; index < shape.apis; index += 1) {
    const name = `api-${index + 1}`;
    const redisUrl = await redisUrlFor(name, index);
    apis.push(
      createMember({
        ...base,
        name,
        kind: 'api',
        script: join(source, 'apps/api/src/main.ts'),
        command: (port) => ({
          args: [],
          env: { ...API_ENV, PORT: String(port), REDIS_URL: redisUrl, QARR_CONFIG: config },
        }),
        readStart: apiUrl,
      }),
    );
  }
  await Promise.all([...workers, ...apis].map((member) => member.start()));

  async function heal(): Promise<void> {
    redis.thaw();
    await redis.start();
    await Promise.all(ways.map(({ proxy }) => proxy.heal()));
    const members = [...engines, ...workers, ...apis];
    for (const member of members) member.thaw();
    await Promise.all(members.map((member) => member.start()));
    await Promise.all(engines.map(healEngine));
  }

  async function untilReady({ timeoutMs }: { timeoutMs: number }): Promise<boolean> {
    const deadlineMs = performance.now() + timeoutMs;
    while (!(await usesAll(workers))) {
      if (performance.now() > deadlineMs) return false;
      await sleep(LOOK_EVERY_MS);
    }
    return true;
  }

  return {
    shape,
    folder,
    redis,
    apis,
    workers,
    engines,
    ways,
    heal,
    untilReady,
    async stop({ keepsFolder }) {
      await Promise.all([...apis, ...workers].map((member) => member.kill()));
      await Promise.all(engines.map((engine) => engine.kill()));
      await Promise.all(ways.map(({ proxy }) => proxy.stop()));
      await redis.stop();
      if (!keepsFolder) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Soon enough that a run of some seconds sees what production sees in minutes. */
const WORKER_ENV = {
  OPS_PORT: '0',
  QARR_CONCURRENCY: '16',
  // One is enough to learn what an engine can do.
  QARR_WARMUP_REQUESTS: '1',
  QARR_CANARY_TIMEOUT_MS: '2000',
  QARR_CANARY_EVERY_MS: '2000',
  QARR_REST_MS: '1000',
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

const ENGINE_HEALING = [{ fault: 'resume' }, { fault: 'slow', params: { factor: 1 } }] as const;

async function healEngine(engine: Member): Promise<void> {
  await fetch(`${engine.url}/_sim/faults`, { method: 'DELETE' });
  for (const fault of ENGINE_HEALING) {
    await fetch(`${engine.url}/_sim/faults`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(fault),
    });
  }
}

async function usesAll(workers: readonly Member[]): Promise<boolean> {
  const pages = await Promise.all(
    workers.map(async ({ url }) => {
      const response = await fetch(`${url}/metrics`).catch(() => null);
      return (await response?.text()) ?? '';
    }),
  );
  return pages.every((page) => {
    const states = page.match(/^qarr_upstream_state\{.*\} 1$/gm) ?? [];
    return states.length > 0 && states.every((line) => line.includes('state="ready"'));
  });
}

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
