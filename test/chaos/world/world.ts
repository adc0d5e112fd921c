/** The system under test, as its real processes: what there is, how it is wired, how it ends. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTcpProxy } from '../../harness/tcp-proxy.ts';
import type { TcpProxy } from '../../harness/tcp-proxy.ts';
import type { History } from '../history.ts';
import { healEngine, usesAll } from './engine-state.ts';
import type { Member } from './member.ts';
import { createApi, createEngine, createWorker } from './members.ts';
import { startWorldRedis } from './redis.ts';
import type { WorldRedis } from './redis.ts';
import type { WorldShape } from './shape.ts';

const LOOK_EVERY_MS = 100;

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
  const base = { source, folder, history };

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
      createEngine({
        ...base,
        name: `engine-${tier.name}-${index + 1}`,
        timeScale: shape.timeScale,
      }),
    ),
  );
  // Their ports are known when they have started.
  await Promise.all(engines.map((engine) => engine.start()));

  const workers: Member[] = [];
  for (const tier of shape.tiers) {
    const own = engines.filter(({ name }) => name.startsWith(`engine-${tier.name}-`));
    for (let index = 0; index < tier.workers; index += 1) {
      const name = `worker-${tier.name}-${index + 1}`;
      const redisUrl = await redisUrlFor(name, index);
      const enginePorts = own.map((engine) => new URL(engine.url).port);
      // The first worker of a tier reaches its first engine through a proxy.
      if (index === 0 && own[0] !== undefined) {
        enginePorts[0] = await way(name, own[0].name, Number(enginePorts[0]));
      }
      workers.push(createWorker({ ...base, name, tier: tier.name, redisUrl, config, enginePorts }));
    }
  }
  const apis: Member[] = [];
  for (let index = 0; index < shape.apis; index += 1) {
    const name = `api-${index + 1}`;
    const redisUrl = await redisUrlFor(name, index);
    apis.push(createApi({ ...base, name, redisUrl, config }));
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
