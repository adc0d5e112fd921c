/** A job that is bound to a connection of a replica has that replica as its follower from its creation. */
import type { ProducerStore, WorkerStore } from '@qarr/job-store';
import type { LoggedEvent, NewJob } from '@qarr/router-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRedisServer } from '../harness/redis-server.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TIMINGS = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const COMPLETED = {
  event: { type: 'completed', finish_reason: 'stop', usage: null, timings: TIMINGS },
  result: { text: 'ab', finish_reason: 'stop' },
} as const;
const FULL = { ...ANYWHERE, limits: { ...ANYWHERE.limits, depthMax: 0 } };
const QUOTA = { keyId: 'k', concurrency: 100, tokensPerDay: 1_000, tokens: 5, promptTokens: 2 };

let server: Awaited<ReturnType<typeof startRedisServer>>;

/** Of its own: the commands of all clients are counted. */
beforeAll(async () => void (server = await startRedisServer()));
afterAll(() => server.stop());

it('is written by one script and one entry, and read without its log', async () => {
  const { stores, store, worker } = await world();
  // Redis knows the scripts from then on.
  const first = bound();
  await store.submit(first, ANYWHERE);
  await run(worker, first);
  const open = `${stores.root}:open`;
  await waitUntil('it is closed', async () => (await stores.redis.zcard(open)) === 0);

  await stores.redis.config('RESETSTAT');
  const jobs = [bound(), bound({ rerouted: { from: 'precise', reason: 'queue_full' } }), bound()];
  for (const job of jobs) await store.submit(job, ANYWHERE);
  expect(await callsOf(stores, 'evalsha')).toBe(2 * jobs.length);
  expect(await callsOf(stores, 'eval')).toBe(0);
  const reading = jobs.map((job) => read(store, job));
  for (const job of jobs) await run(worker, job);
  const seen = await Promise.all(reading);
  expect(await callsOf(stores, 'xrange')).toBe(0);
  for (const [at, job] of jobs.entries()) expect(seen[at]).toEqual(await logOf(stores, job));
  expect(seen[1]?.map(({ type }) => type).slice(0, 2)).toEqual(['queued', 'rerouted']);
});

it('is read with what came before its reader', async () => {
  const { stores, store, worker } = await world();
  const job = newJob({ isBound: true });
  await store.submit(job, ANYWHERE);
  await run(worker, job);
  expect(await read(store, job)).toEqual(await logOf(stores, job));
});

it('is read from its log where live events may have been missed', async () => {
  const { stores, store, worker } = await world();
  const job = newJob({ isBound: true });
  await store.submit(job, ANYWHERE);
  await stores.redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await run(worker, job);
  expect(await read(store, job)).toEqual(await logOf(stores, job));
});

it('is read again from any number', async () => {
  const { stores, store, worker } = await world();
  const job = newJob({ isBound: true });
  await store.submit(job, ANYWHERE);
  await run(worker, job);
  const log = await logOf(stores, job);
  expect(await read(store, job, 2)).toEqual(log.slice(2));
  expect(await read(store, job)).toEqual(log);
  expect(await read(store, job)).toEqual(log);
});

it('is followed no more where its reader does not come, or has left before', async () => {
  const { stores, store } = await world(100);
  const [nobody, gone] = [newJob({ isBound: true }), newJob({ isBound: true })];
  for (const job of [nobody, gone]) await store.submit(job, ANYWHERE);
  expect(await followersOf(stores, gone)).not.toBe('');
  const signal = AbortSignal.abort();
  for await (const _ of store.follow(gone.id, { after: 0, signal })) throw new Error('read');
  for (const job of [nobody, gone]) {
    await waitUntil('nobody follows', async () => (await followersOf(stores, job)) === '');
  }
});

it('is not followed where it is refused, nor by whoever finds it there', async () => {
  const { stores, store, worker } = await world();
  const job = newJob({ isBound: true });
  expect(await store.submit(job, FULL)).toMatchObject({ kind: 'full' });
  expect(await stores.redis.keys(`${stores.root}:{${job.id}}*`)).toEqual([]);
  await store.submit({ ...job, isBound: false }, ANYWHERE);
  expect(await store.submit(job, ANYWHERE)).toMatchObject({ kind: 'attached' });
  expect(await followersOf(stores, job)).toBe(null);
  await run(worker, job);
  expect(await read(store, job)).toEqual(await logOf(stores, job));
});

function bound(fields: Partial<NewJob> = {}): NewJob {
  return newJob({ isBound: true, quota: QUOTA, ...fields });
}

async function world(followTickMs = 60_000) {
  const stores = createStores({ redisUrl: server.url });
  const [store, worker] = await Promise.all([stores.producer({ followTickMs }), stores.worker()]);
  return { stores, store, worker };
}

async function run(worker: WorkerStore, job: NewJob): Promise<void> {
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  const claim = await worker.claim(entry, { worker: 'w', token: 't' });
  if (claim.kind !== 'run') throw new Error(claim.kind);
  const log = claim.openLog(() => {});
  log.append({ text: 'a' });
  log.append({ text: 'b' });
  expect(await log.finish(COMPLETED)).toBe('ok');
}

async function read(store: ProducerStore, { id }: NewJob, after = 0): Promise<LoggedEvent[]> {
  const seen: LoggedEvent[] = [];
  const { signal } = new AbortController();
  for await (const events of store.follow(id, { after, signal })) seen.push(...events);
  return seen;
}

async function logOf({ redis, root }: Stores, { id }: NewJob): Promise<LoggedEvent[]> {
  const entries = await redis.xrange(`${root}:{${id}}:log`, '-', '+');
  return entries.map(([name, [, type, , json = '']]) => ({
    seq: Number(name.slice(2)),
    type: type as LoggedEvent['type'],
    json,
  }));
}

async function followersOf({ redis, root }: Stores, { id }: NewJob): Promise<string | null> {
  return redis.hget(`${root}:{${id}}:job`, 'followers');
}

async function callsOf({ redis }: Stores, command: string): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(new RegExp(`^cmdstat_${command}:calls=(\\d+)`, 'm').exec(stats)?.[1] ?? 0);
}
