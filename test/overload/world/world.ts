/** The system under test as its real processes: a Redis, API replicas, and two tiers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHistory } from '../../chaos/history.ts';
import { usesAll } from '../../chaos/world/engine-state.ts';
import type { Member } from '../../chaos/world/member.ts';
import { startRedisServer } from '../../harness/redis-server.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import { createApi, createEngine, createWorker } from './processes.ts';
import type { WatchedMember } from './processes.ts';
import { startEngineWatch } from './engine-watch.ts';
import type { EngineWatch } from './engine-watch.ts';
import { API_COUNT, ROUTING_RULES, TIERS, WORKERS_PER_TIER } from './shape.ts';
import type { Deadlines } from './shape.ts';

const READY_TIMEOUT_MS = 60_000;

export interface World {
  /** Where the logs lie. */
  readonly folder: string;
  readonly apis: readonly string[];
  readonly engines: Readonly<Record<string, Member>>;
  /** Between the workers and the engine of the tier that is watched. */
  readonly engineWatch: EngineWatch | null;
  /** Where processes tell their metrics. */
  opsUrls(): string[];
  /** By name, of those that run. */
  pids(): Readonly<Record<string, number>>;
  /** Processes that have ended by themselves. */
  crashes(): string[];
  stop(options: { keepsFolder: boolean }): Promise<void>;
}

export async function startWorld({
  deadlines,
  watchedTier = null,
}: {
  deadlines: Deadlines;
  /** Its workers reach their engine through an engine watch. */
  watchedTier?: string | null;
}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-overload-'));
  const history = createHistory({ path: null });
  const base = { folder, history };
  const config = join(folder, 'qarr.config.yaml');
  // Every JSON is YAML.
  await writeFile(
    config,
    JSON.stringify({
      tiers: TIERS.map(({ name }) => ({ name })),
      routing: { rules: ROUTING_RULES },
    }),
  );
  const redis = await startRedisServer();
  const env = { REDIS_URL: redis.url, QARR_CONFIG: config };

  const engines = Object.fromEntries(TIERS.map((tier) => [tier.name, createEngine(tier, base)]));
  await Promise.all(Object.values(engines).map((engine) => engine.start()));
  let engineWatch: EngineWatch | null = null;
  if (watchedTier !== null) {
    const target = engines[watchedTier]?.url;
    if (target === undefined) throw new Error(`There is no tier ${watchedTier}`);
    engineWatch = await startEngineWatch({ targetPort: Number(new URL(target).port) });
  }
  const workers = TIERS.flatMap((tier) => {
    const watched = tier.name === watchedTier ? engineWatch?.url : undefined;
    const upstream = { QARR_UPSTREAM_URL: watched ?? engines[tier.name]?.url ?? '' };
    return Array.from({ length: WORKERS_PER_TIER }, (_, index) =>
      createWorker(
        { name: `worker-${tier.name}-${index + 1}`, tier, env: { ...env, ...upstream } },
        base,
      ),
    );
  });
  const apis = Array.from({ length: API_COUNT }, (_, index) =>
    createApi({ name: `api-${index + 1}`, env, deadlines }, base),
  );
  const watched: readonly WatchedMember[] = [...apis, ...workers];
  const members = [...watched.map(({ member }) => member), ...Object.values(engines)];
  await Promise.all(watched.map(({ member }) => member.start()));
  await waitUntil(
    'every worker uses its engine',
    () => usesAll(workers.map(({ member }) => member)),
    {
      timeoutMs: READY_TIMEOUT_MS,
      everyMs: 100,
    },
  );

  return {
    folder,
    apis: apis.map(({ member }) => member.url),
    engines,
    engineWatch,
    opsUrls: () => watched.flatMap(({ opsUrl }) => opsUrl() ?? []),
    pids: () => ({
      ...Object.fromEntries(
        members.flatMap(({ name, pid }) => (pid === null ? [] : [[name, pid]])),
      ),
      redis: redis.pid,
    }),
    crashes: () =>
      history.entries.flatMap((entry) =>
        entry.t === 'process' && entry.event === 'ended by itself' ? [entry.name] : [],
      ),
    async stop({ keepsFolder }) {
      await Promise.all(members.map((member) => member.kill()));
      await engineWatch?.stop();
      await redis.stop();
      if (!keepsFolder) await rm(folder, { recursive: true, force: true });
    },
  };
}
