/** What costs Redis the same, however many jobs there are: counted, not timed. */
import type { ProducerStore } from '@qarr/job-store';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRedisServer } from '../harness/redis-server.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';

let server: Awaited<ReturnType<typeof startRedisServer>>;

/** Of its own: the commands of all clients are counted. */
beforeAll(async () => void (server = await startRedisServer()));
afterAll(() => server.stop());

/** More than are looked at for one page. */
const FEW = 600;
const MANY = 3_000;
/** What a store does by the clock, whatever else it is asked for. */
const HEARTBEATS = new Set(['time', 'ping', 'zadd', 'pexpire']);
const PAGE = { owner: 'anonymous', limit: 20, after: null } as const;

it('a page of the list, with very many that have ended and that wait for each that runs', async () => {
  const stores = createStores({ redisUrl: server.url });
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  const [waiting, running] = [newJob(), newJob()];
  for (const job of [waiting, running]) {
    await store.submit(job, ANYWHERE);
  }
  const entry = { jobId: running.id, epoch: 1, class: running.class };
  await worker.claim(entry, { worker: 'w', token: 't' });
  const { redis, root } = stores;
  const spread = (count: number) => copies({ redis, root, of: waiting.id, count });

  await spread(FEW);
  const few = await costs(store, redis);
  await spread(MANY);
  const many = await costs(store, redis);
  for (const [state, cost] of Object.entries(many)) {
    expect(cost.commands).toEqual(few[state]?.commands);
    // Those of the reply to `INFO` itself among them.
    expect(cost.bytes).toBeLessThan(1.1 * Number(few[state]?.bytes));
  }
  expect(few['running']?.jobs).toEqual([running.id]);
  expect(Number(few['all']?.commands['hmget'])).toBeLessThanOrEqual(20);
});

it('a sweep, with more open jobs than it looks at', async () => {
  const stores = createStores({ redisUrl: server.url });
  const store = await stores.producer({ mendAfterMs: 0, passEveryMs: 0 });
  for (let batch = 0; batch < 12; batch += 1) {
    const jobs = Array.from({ length: 100 }, () => newJob());
    await Promise.all(jobs.map((job) => store.submit(job, ANYWHERE)));
  }
  for (let sweep = 0; sweep < 3; sweep += 1) {
    await stores.redis.config('RESETSTAT');
    await store.sweep();
    const commands = await commandCounts(stores.redis);
    // 500 by the index of open jobs, 500 by their queue, and about 500 by their ledger.
    expect(commands['hmget']).toBeLessThanOrEqual(1_600);
    expect(commands['exists']).toBeLessThanOrEqual(500);
    expect(Number(commands['zrange'])).toBeLessThanOrEqual(10);
    expect(commands['evalsha']).toBeUndefined();
  }
  expect((await store.status('fast')).depth).toBe(1_200);
});

/** Jobs that wait, and as many that have completed, all newer than what is there. */
async function copies({
  redis,
  root,
  of,
  count,
}: {
  redis: Redis;
  root: string;
  of: string;
  count: number;
}): Promise<void> {
  const record = await redis.hgetall(`${root}:{${of}}:job`);
  const pipeline = redis.pipeline();
  for (const [list, state] of [
    ['open', 'queued'],
    ['completed', 'completed'],
  ] as const) {
    for (let number = 1; number <= count; number += 1) {
      const id = `job_${state}_${10_000 * count + number}`;
      const created_at = Number(record['created_at']) + 2 * number;
      pipeline.hset(`${root}:{${id}}:job`, { ...record, id, state, created_at });
      pipeline.zadd(`${root}:jobs:anonymous:${list}`, created_at, id);
    }
  }
  await pipeline.exec();
}

interface Cost {
  readonly jobs: string[];
  /** That Redis has sent. */
  readonly bytes: number;
  readonly commands: Readonly<Record<string, number>>;
}

async function costs(store: ProducerStore, redis: Redis): Promise<Record<string, Cost>> {
  const found: Record<string, Cost> = {};
  for (const state of [null, 'queued', 'running', 'completed', 'failed'] as const) {
    await redis.config('RESETSTAT');
    const before = await sentBytes(redis);
    const { jobs } = await store.list({ ...PAGE, state });
    const bytes = (await sentBytes(redis)) - before;
    const commands = await commandCounts(redis);
    found[state ?? 'all'] = { jobs: jobs.map(({ id }) => id), bytes, commands };
  }
  return found;
}

async function commandCounts(redis: Redis): Promise<Record<string, number>> {
  const stats = await redis.info('commandstats');
  const calls = [...stats.matchAll(/cmdstat_([\w|]+):calls=(\d+)/g)];
  return Object.fromEntries(
    calls
      .map(([, name = '', count]) => [name, Number(count)] as const)
      .filter(([name]) => !HEARTBEATS.has(name)),
  );
}

async function sentBytes(redis: Redis): Promise<number> {
  const [, bytes] = /total_net_output_bytes:(\d+)/.exec(await redis.info('stats')) ?? [];
  return Number(bytes);
}
