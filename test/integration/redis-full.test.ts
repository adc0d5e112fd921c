/** Redis fills up: the API closes in time, and where Redis is full all the same, jobs can still end. */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { startRedisServer } from '../harness/redis-server.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

const MAXMEMORY_BYTES = 67_108_864;
const LIMIT_BYTES = MAXMEMORY_BYTES * 0.8;
/** Redis is nearly full already, so that the flood need not last long. */
const BALLAST = 'x'.repeat(1_000_000);
const BALLAST_TIMES = 40;
/** Jobs of 200 KB, of which some fifty have room. */
const PROMPT = 'word '.repeat(40_000);
const JOBS = 200;
const AT_ONCE = 16;
/** Each of these prompts has room in it. */
const WINDOW_TOKENS = 100_000;

let world: ApiWorld;
let replicas: ApiProcess[];

beforeAll(async () => {
  world = await startApiWorld();
  await world.redis.config('SET', 'maxmemory', MAXMEMORY_BYTES);
  for (let time = 0; time < BALLAST_TIMES; time += 1) {
    await world.redis.rpush('ballast', BALLAST);
  }
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
  const engine = await startEngineProcess('--time-scale=0', `--max-model-len=${WINDOW_TOKENS}`);
  const worker = await startWorkerProcess({
    REDIS_URL: world.redisServer.url,
    QARR_UPSTREAM_URL: engine.url,
    QARR_WARMUP_REQUESTS: '1',
    QARR_CONCURRENCY: '1',
  });
  for (const { url } of replicas) {
    await waitUntil('a replica knows the window of the engine', async () => {
      const tiers = await (await fetch(`${url}/v1/tiers`)).text();
      return tiers.includes(`"max_model_len":${WINDOW_TOKENS}`);
    });
  }
  const answers = await flood();

  const accepted = answers.flatMap(({ id }) => id ?? []);
  expect(accepted.length).toBeGreaterThan(0);
  // A machine that is too busy for the flood may be out of time for some of it.
  const refused = answers.filter(({ code, id }) => code !== 'queue_unavailable' && !id);
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
  const stream = await openStream(`${world.api.url}/v1/jobs/${accepted[0]}/events`);
  await stream.until('event: completed');
  const last = accepted.at(-1);
  const cancelled = await postJson(`${world.api.url}/v1/jobs/${last}/cancel`, {});
  expect(cancelled.status).toBe(200);
  const causes = [...worker.logs, ...replicas.flatMap(({ logs }) => logs)].map(
    ({ cause }) => cause,
  );
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

it('that is full lets jobs be cancelled and deleted, and jobs and files that were let in end', async () => {
  const server = await startRedisServer();
  onTestFinished(() => server.stop());
  const { redis, ...stores } = createStores({ redisUrl: server.url });
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  const jobs = Array.from({ length: 4 }, () => newJob());
  const [ended = newJob(), queued = newJob(), waiting = newJob(), running = newJob()] = jobs;
  for (const job of jobs) await store.submit(job, ANYWHERE);
  await store.cancel(ended.id);
  const entry = { jobId: running.id, epoch: 1, class: running.class };
  const claimed = await worker.claim(entry, { worker: 'w', token: 't' });
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  await redis.config('SET', 'maxmemory', 1);
  await expect(redis.set('anything', 'x')).rejects.toThrow('OOM');

  // No upload begins, but one that was let in ends, and so does a batch with what it has left.
  const file = { id: 'file-1', owner: 'o', filename: 'f.jsonl', bytes: 1, sha256: 'x' };
  await expect(store.files.announce('file-2', 60_000)).rejects.toMatchObject({
    code: 'queue_unavailable',
  });
  const record = { ...file, purpose: 'batch_output', keptMs: 60_000 } as const;
  expect((await store.files.create(record, null)).kind).toBe('created');
  expect(await store.files.remove('file-1')).toBe(true);

  expect(await store.delete(ended.id)).toBe(true);
  expect(await store.delete(queued.id)).toBe(true);
  expect(await store.cancel(waiting.id)).toBe('cancelled');
  const log = claimed.openLog(() => {});
  log.append({ text: 'Hello' });
  const timings = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };
  const event = { type: 'completed', finish_reason: 'stop', usage: null, timings } as const;
  expect(await log.finish({ event, result: { text: 'Hello', finish_reason: 'stop' } })).toBe('ok');
  expect(await store.get(ended.id)).toBeNull();
  expect(await store.get(queued.id)).toBeNull();
  expect((await store.get(running.id))?.state).toBe('completed');
  await redis.config('SET', 'maxmemory', 0);
});
