/** The instrument itself: what it says of a path counts only if it loses nothing on the way. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRedisServer } from '../../test/harness/redis-server.ts';
import { waitUntil } from '../../test/harness/wait-until.ts';
import type { LoadOptions } from '../load/load.ts';
import { startLoad } from '../load/start-load.ts';
import type { Load } from '../load/start-load.ts';
import { HOLD } from '../upstream/answer-text.ts';
import { startUpstream } from '../upstream/start-upstream.ts';
import type { Upstream } from '../upstream/start-upstream.ts';
import { direct } from './direct.ts';
import { floorLog } from './floor/floor.ts';
import type { Path, RunningPath } from './path.ts';
import { proxy } from './proxy.ts';

const SHAPE = { apis: 2, workers: 2 };
const LOAD = {
  model: 'bench',
  arrivals: { kind: 'closed', concurrency: 20 },
  tokens: 40,
  promptBytes: 400,
  forMs: 60_000,
  requestsMax: 60,
} as const;

let redis: Awaited<ReturnType<typeof startRedisServer>>;
let upstream: Upstream;
let load: Load;

beforeAll(async () => {
  [redis, upstream, load] = await Promise.all([
    startRedisServer(),
    startUpstream({ stepMs: 0 }),
    startLoad(),
  ]);
});

afterAll(async () => {
  await Promise.all([load.stop(), upstream.stop(), redis.stop()]);
});

async function startPath(path: Path): Promise<RunningPath> {
  const { url: redisUrl } = redis;
  const { url: upstreamUrl, model } = upstream;
  const { signal } = new AbortController();
  return path.start({ folder: '', upstreamUrl, model, redisUrl, shape: SHAPE, signal });
}

async function runOn(path: Path, options: Partial<LoadOptions> = {}) {
  const { urls, headers, stop } = await startPath(path);
  try {
    return { result: await load.run({ urls, headers, ...LOAD, ...options }), urls };
  } finally {
    await stop();
  }
}

test.each([
  { path: direct, replicas: 1 },
  { path: proxy, replicas: 1 },
  { path: floorLog, replicas: SHAPE.apis },
])('every byte comes by $path.name', async ({ path, replicas }) => {
  const { result, urls } = await runOn(path);
  expect(new Set(urls).size).toBe(replicas);
  const { whole, errors, firstError, tokens, ttftMs, gapsMs } = result;
  expect({ whole, errors, firstError, tokens }).toEqual({
    whole: LOAD.requestsMax,
    errors: {},
    firstError: null,
    tokens: LOAD.requestsMax * LOAD.tokens,
  });
  expect(ttftMs).toHaveLength(LOAD.requestsMax);
  expect(gapsMs).toHaveLength(LOAD.requestsMax * (LOAD.tokens - 1));
});

test('an open loop sends what is due, whatever has not ended', async () => {
  await upstream.set({ stepMs: 5 });
  const { result } = await runOn(direct, {
    arrivals: { kind: 'open', perS: 500, seed: 1 },
    requestsMax: 50,
  });
  await upstream.set({ stepMs: 0 });
  expect({ whole: result.whole, errors: result.errors }).toEqual({ whole: 50, errors: {} });
  expect(result.latenessMs).toHaveLength(50);
});

test('an engine that stops in the middle is an error of every answer that was running', async () => {
  const other = await startUpstream({ stepMs: 50 });
  const running = load.run({
    ...LOAD,
    urls: [`${other.url}/v1/chat/completions`],
    headers: {},
    requestsMax: 20,
  });
  const isRunning = async () =>
    (await (await fetch(`${other.url}/metrics`)).text()).includes('running{engine="0"} 20');
  await waitUntil('all are running', isRunning);
  await other.stop();
  expect(await running).toMatchObject({ whole: 0, errors: { connection: 20 } });
});

test('idle streams stay open until they are let go', async () => {
  const body = JSON.stringify({
    model: 'bench',
    messages: [{ role: 'user', content: HOLD }],
    stream: true,
  });
  const { urls, headers, stop } = await startPath(proxy);
  await load.hold({ urls, headers, streams: 150, body });
  expect(await load.release()).toMatchObject({ lost: 0 });
  await stop();
});
