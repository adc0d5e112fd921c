/** The paths that are measured beside each other: each with its processes and its own Redis, all of one engine. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startRedisServer } from '../test/harness/redis-server.ts';
import type { Path, PathProcess, RunningPath, Shape } from './paths/path.ts';
import { isQarr } from './paths/qarr.ts';
import type { QarrPath, RunningQarr } from './paths/qarr.ts';
import { startUpstream } from './upstream/start-upstream.ts';
import type { Upstream } from './upstream/start-upstream.ts';

export interface LivePath {
  readonly name: string;
  readonly running: RunningPath;
  readonly redisUrl: string | null;
  /** To ask what it was asked for. */
  readonly redis: Redis | null;
  /** With its Redis. */
  readonly processes: readonly PathProcess[];
  stop(): Promise<void>;
}

export interface World {
  readonly upstream: Upstream;
  readonly paths: ReadonlyMap<string, LivePath>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly folder: string;
  readonly shape: Shape;
  readonly signal: AbortSignal;
}

export async function startWorld(
  paths: readonly Path[],
  { folder, shape, signal }: WorldOptions,
): Promise<World> {
  const upstream = await startUpstream();
  const started = await Promise.allSettled(
    paths.map((path) => startPath(path, { folder, shape, signal, upstream })),
  );
  const live = started.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
  const stop = async () => {
    await Promise.all(live.map((path) => path.stop()));
    await upstream.stop();
  };
  const failed = started.find((one) => one.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return { upstream, paths: new Map(live.map((path) => [path.name, path])), stop };
}

async function startPath(
  path: Path,
  { folder, shape, signal, upstream }: WorldOptions & { readonly upstream: Upstream },
): Promise<LivePath> {
  const own = join(folder, `${path.name.replaceAll(/\W/g, '-')}-${shape.apis}-${shape.workers}`);
  const redisFolder = join(own, 'redis');
  await mkdir(redisFolder, { recursive: true });
  const server = path.hasRedis ? await startRedisServer({ dir: redisFolder }) : null;
  const redis = server === null ? null : new Redis(server.url);
  const stopRedis = async () => {
    redis?.disconnect();
    await server?.stop();
  };
  try {
    const running = await path.start({
      folder: own,
      upstreamUrl: upstream.url,
      model: upstream.model,
      redisUrl: server?.url ?? '',
      shape,
      signal,
    });
    return {
      name: path.name,
      running,
      redisUrl: server?.url ?? null,
      redis,
      processes: [
        ...running.processes,
        ...(server === null ? [] : [{ role: 'redis' as const, pid: server.pid }]),
      ],
      async stop() {
        await running.stop();
        await stopRedis();
      },
    };
  } catch (error) {
    await stopRedis();
    throw error;
  }
}

export interface LiveQarr extends LivePath {
  readonly running: RunningQarr;
  readonly redisUrl: string;
  readonly redis: Redis;
}

/** One QARR alone, with an engine of its own. */
export async function startQarrAlone(
  path: QarrPath,
  { env = {}, ...options }: WorldOptions & { readonly env?: Readonly<Record<string, string>> },
): Promise<{ readonly qarr: LiveQarr; readonly upstream: Upstream; stop(): Promise<void> }> {
  const withEnv: Path = { ...path, start: (context) => path.start(context, env) };
  const { upstream, paths, stop } = await startWorld([withEnv], options);
  const qarr = paths.get(path.name);
  if (qarr === undefined || !isLiveQarr(qarr)) throw new Error(`${path.name} is no QARR`);
  return { qarr, upstream, stop };
}

function isLiveQarr(path: LivePath): path is LiveQarr {
  return isQarr(path.running) && path.redis !== null;
}
