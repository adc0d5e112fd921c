/** Redis fills up: the API closes in time, so that no worker meets a Redis that is full. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

const MAXMEMORY_BYTES = 67_108_864;
const LIMIT_BYTES = MAXMEMORY_BYTES * 0.8;
/** Ten times as much as has room. */
const PROMPT = 'word '.repeat(40_000);
const JOBS = (10 * MAXMEMORY_BYTES) / PROMPT.length;
const AT_ONCE = 32;

let world: ApiWorld;
let replicas: ApiProcess[];

beforeAll(async () => {
  world = await startApiWorld();
  await world.redis.config('SET', 'maxmemory', MAXMEMORY_BYTES);
  replicas = [world.api, await world.startApi()];
}, 30_000);
afterAll(() => world.stop());

interface Answer {
  readonly status: number;
  readonly code: string | undefined;
  readonly retryAfter: string | null;
  readonly id: string | undefined;
}

/** Submits as fast as it goes, to both replicas by turns. */
async function flood(): Promise<Answer[]> {
  const answers: Answer[] = [];
  let left = JOBS;
  const lanes = Array.from({ length: AT_ONCE }, async (_, lane) => {
    const url = `${replicas[lane % replicas.length]?.url}/v1/jobs`;
    while (left > 0) {
      left -= 1;
      const response = await postJson(url, { prompt: PROMPT, tier: 'fast', max_tokens: 16 });
      const { id, error } = (await response.json()) as { id?: string; error?: { code: string } };
      const retryAfter = response.headers.get('retry-after');
      answers.push({ status: response.status, code: error?.code, retryAfter, id });
    }
  });
  await Promise.all(lanes);
  return answers;
}

async function usedBytes(): Promise<number> {
  const info = await world.redis.info('memory');
  return Number(/used_memory:(\d+)/.exec(info)?.[1]);
}

it('refuses in time what has no room, and what was accepted ends normally', async () => {
  const engine = await startEngineProcess('--time-scale=0', '--max-model-len=100000');
  const worker = await startWorkerProcess({
    REDIS_URL: world.redisServer.url,
    QARR_UPSTREAM_URL: engine.url,
    QARR_WARMUP_REQUESTS: '1',
    QARR_CONCURRENCY: '1',
  });
  await waitUntil('the worker pulls', async () => {
    const response = await fetch(`${world.api.url}/readyz`);
    return response.status === 200;
  });
  const answers = await flood();

  const refused = answers.filter(({ status }) => status !== 202);
  expect(refused.length).toBeGreaterThan(JOBS / 2);
  for (const { status, code, retryAfter } of refused) {
    expect({ status, code, retryAfter }).toEqual({
      status: 503,
      code: 'storage_full',
      retryAfter: '10',
    });
  }
  const ready = (await (await fetch(`${world.api.url}/readyz`)).json()) as object;
  expect(ready).toMatchObject({ ready: true, redis: true });
  const metrics = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
  expect(metrics).toContain(`qarr_redis_memory_bytes{kind="limit"} ${LIMIT_BYTES}\n`);

  // Reading, following and cancelling go on, and so does the worker.
  const accepted = answers.flatMap(({ id }) => id ?? []);
  const stream = await openStream(`${world.api.url}/v1/jobs/${accepted[0]}/events`);
  await stream.until('event: completed');
  const last = accepted.at(-1);
  const cancelled = await postJson(`${world.api.url}/v1/jobs/${last}/cancel`, {});
  expect(cancelled.status).toBe(200);
  const causes = [...worker.logs, ...replicas.flatMap(({ logs }) => logs)].map(({ cause }) => cause);
  expect(causes).not.toContain('OOM');
  expect(await usedBytes()).toBeLessThan(MAXMEMORY_BYTES);
  const errorsOfRedis = await world.redis.info('errorstats');
  expect(errorsOfRedis).not.toContain('OOM');
}, 60_000);

it('admits again when there is room', async () => {
  await world.redis.config('SET', 'maxmemory', 16 * MAXMEMORY_BYTES);
  await waitUntil('a job is accepted', async () => {
    const response = await postJson(`${world.api.url}/v1/jobs`, { prompt: 'Hello' });
    return response.status === 202;
  });
});
