/**
 * What Redis must be like for the promise to hold, which is looked at once, when a process starts; and
 * whether it serves.
 */
import type { Cluster, Redis } from 'ioredis';
import { isCluster, primariesOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';

/** Streams, TIME inside writing scripts and RESP3 as they are used here. */
const VERSION_MIN = 7;
/** Deadlines compare Redis's clock with nothing else, but logs and clients do. */
const CLOCK_DISTANCE_MS_MAX = 2_000;
const SLOTS = 16_384;

export interface RedisProblems {
  /** Jobs would be lost or deadlines be wrong while all seems well. */
  readonly fatal: readonly string[];
  /** Accepted jobs would be lost when Redis restarts: tolerable on a developer's machine. */
  readonly volatile: readonly string[];
}

/** Returns what is wrong, each as one line that says what to set, and of a cluster also where. */
export async function checkRedis(redis: RedisClient): Promise<RedisProblems> {
  if (!isCluster(redis)) return checkAnswering(redis, '');
  const [uncovered, ...problems] = await Promise.all([
    // Where one does not answer, its own check says which.
    uncoveredSlots(redis).catch(() => 0),
    ...primariesOf(redis).map((node) => checkAnswering(node, placeOf(node))),
  ]);
  if (uncovered > 0) {
    const fatal = `the Redis cluster has no master for ${uncovered} of its ${SLOTS} slots: assign them, or start what is missing`;
    return { fatal: [fatal], volatile: [] };
  }
  return {
    fatal: problems.flatMap(({ fatal }) => fatal),
    volatile: problems.flatMap(({ volatile }) => volatile),
  };
}

/** Rejects where Redis does not serve; may never settle where it does not answer. */
export async function pingRedis(redis: RedisClient): Promise<void> {
  if (!isCluster(redis)) {
    await redis.ping();
    return;
  }
  const views = await viewsOf(redis);
  // One that does not serve answers a ping all the same; one that is not connected is not asked.
  const serving = views.filter((view) => view.get('cluster_state') === 'ok').length;
  const masters = Math.max(1, ...views.map((view) => Number(view.get('cluster_size') ?? 0)));
  if (serving < masters) {
    throw new Error(`${serving} of ${masters} masters of the Redis cluster serve`);
  }
}

async function uncoveredSlots(cluster: Cluster): Promise<number> {
  const views = await viewsOf(cluster);
  // Those of a master that the others do not reach count as assigned, but not as served.
  const covered = views.map((view) => Number(view.get('cluster_slots_ok') ?? 0));
  return SLOTS - Math.min(SLOTS, ...covered);
}

/** The cluster as each of its masters sees it: one that sees a gap serves nothing. */
async function viewsOf(cluster: Cluster): Promise<Map<string, string>[]> {
  return Promise.all(
    primariesOf(cluster).map(async (node) => parseInfo(await node.cluster('INFO'))),
  );
}

async function checkAnswering(node: Redis, where: string): Promise<RedisProblems> {
  try {
    return await checkServer(node, where);
  } catch (error) {
    const fatal = `${placeOf(node)}Redis does not answer (${(error as Error).message})`;
    return { fatal: [fatal], volatile: [] };
  }
}

function placeOf({ options: { host, port } }: Redis): string {
  return `${host}:${port}: `;
}

/** `where` begins each line. */
async function checkServer(redis: Redis, where: string): Promise<RedisProblems> {
  const before = Date.now();
  const [seconds, microseconds] = await redis.time();
  const after = Date.now();
  const info = parseInfo(await redis.info());
  const fatal: string[] = [];
  const volatile: string[] = [];

  const version = info.get('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < VERSION_MIN) {
    fatal.push(`${where}Redis is ${version}; use ${VERSION_MIN}.0 or later`);
  }
  const policy = info.get('maxmemory_policy');
  if (policy !== undefined && policy !== 'noeviction') {
    fatal.push(`${where}Redis may evict jobs: set maxmemory-policy noeviction (it is ${policy})`);
  }
  if (info.get('aof_enabled') === '0') {
    volatile.push(`${where}Redis forgets accepted jobs when it restarts: set appendonly yes`);
  }
  const redisMs = Number(seconds) * 1_000 + Number(microseconds) / 1_000;
  const distanceMs = Math.max(before - redisMs, redisMs - after, 0);
  if (distanceMs > CLOCK_DISTANCE_MS_MAX) {
    fatal.push(
      `${where}this clock and Redis's differ by ${Math.round(distanceMs)} ms: set them to within ${CLOCK_DISTANCE_MS_MAX} ms`,
    );
  }
  return { fatal, volatile };
}

/** Reads what `INFO` says. */
export function parseInfo(info: string): Map<string, string> {
  const lines = info.split('\r\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1)] as const;
    }),
  );
}
