import { setTimeout as sleep } from 'node:timers/promises';
import type { AttemptLog, StopReason, WorkerStore } from '@qarr/job-store';
import type { NewJob } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { checkLog, readLog, textOf } from '../harness/job-log.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, COMPLETED, createStores, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TOKENS = 400;

describe('writing while Redis is in trouble', () => {
  it('loses and doubles nothing when its connections are killed', async () => {
    const { url } = await createOwnRedis();
    await expectWholeLog(url, async (redis) => {
      await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    });
  });

  it('loses and doubles nothing when Redis forgets the scripts', async () => {
    const { url } = await createOwnRedis();
    await expectWholeLog(url, async (redis) => void (await redis.script('FLUSH')));
  });

  it('loses and doubles nothing when Redis is killed and comes back', async () => {
    const redisServer = await createOwnRedis();
    let kills = 0;
    await expectWholeLog(redisServer.url, async () => {
      kills += 1;
      if (kills === 3) await redisServer.restart();
    });
    expect(kills).toBeGreaterThanOrEqual(3);
  });

  it('loses and doubles nothing when Redis stands still', async () => {
    const redisServer = await createOwnRedis();
    let freezes = 0;
    await expectWholeLog(redisServer.url, async () => {
      freezes += 1;
      if (freezes !== 2) return;
      redisServer.freeze();
      await sleep(1_500);
      redisServer.thaw();
    });
    expect(freezes).toBeGreaterThanOrEqual(2);
  });
});

describe('reading while Redis is in trouble', () => {
  it('goes on where Redis takes no writes', async () => {
    const { url } = await createOwnRedis();
    const stores = createStores({ redisUrl: url });
    const [store, worker] = await Promise.all([
      stores.producer({ followTickMs: 500 }),
      stores.worker(),
    ]);
    const job = newJob();
    await store.submit(job, ANYWHERE);
    await start(worker, job);
    await stores.redis.config('SET', 'maxmemory', '1');
    for await (const events of store.follow(job.id, neverAborted())) {
      expect(events.map(({ type }) => type)).toEqual(['queued', 'started']);
      break;
    }
    await stores.redis.config('SET', 'maxmemory', '0');
  });

  it('serves a thousand readers at once, and those who submit meanwhile', async () => {
    const { store, worker } = await createWorld();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await start(worker, job);
    const readers = Array.from({ length: 1_000 }, () =>
      readText(store.follow(job.id, neverAborted())),
    );
    const submitted = Array.from({ length: 20 }, () => store.submit(newJob(), ANYWHERE));
    const text = await writeAll(log);
    for (const seen of await Promise.all(readers)) expect(seen).toBe(text);
    await Promise.all(submitted);
  });

  it('ends when the store is stopped', async () => {
    const { url } = await createOwnRedis();
    const stores = createStores({ redisUrl: url });
    const store = await stores.producer();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const reading = readAll(store.follow(job.id, neverAborted()));
    await waitUntil('it is followed', () =>
      stores.redis.hget(`${stores.root}:{${job.id}}:job`, 'followers'),
    );
    await store.stop();
    expect(await reading).toBe(1);
  });

  it('says at start that Redis does not let it subscribe', async () => {
    const { url } = await createOwnRedis();
    const stores = createStores({ redisUrl: url });
    await stores.redis.call('ACL', 'SETUSER', 'u', 'on', '>p', '~*', '+@all', 'resetchannels');
    const limited = createStores({ redisUrl: url.replace('//', '//u:p@') });
    await expect(limited.producer()).rejects.toThrow(/does not let this process subscribe/);
  });
});

describe('what it costs', () => {
  it('publishes nothing where nobody follows, and once per call where somebody does', async () => {
    const { stores, store, worker } = await createWorld();
    const [alone, followed] = [newJob(), newJob()];
    await store.submit(alone, ANYWHERE);
    await store.submit(followed, ANYWHERE);

    await writeAll((await start(worker, alone)).log);
    expect(await calls(stores.redis, 'publish')).toBe(0);

    const reader = readAll(store.follow(followed.id, neverAborted()));
    await waitUntil('it is followed', () =>
      stores.redis.hget(`${stores.root}:{${followed.id}}:job`, 'followers'),
    );
    await writeAll((await start(worker, followed)).log);
    expect(await reader).toBeGreaterThan(2);
    // By its start, and by its end, with which all of its text goes.
    expect(await calls(stores.redis, 'publish')).toBe(2);
  });

  it('subscribes once per process, however many jobs are followed', async () => {
    const { stores, store, worker } = await createWorld();
    const before = await calls(stores.redis, 'subscribe');
    const jobs = Array.from({ length: 50 }, () => newJob());
    await Promise.all(jobs.map((job) => store.submit(job, ANYWHERE)));
    const readers = jobs.map((job) => readAll(store.follow(job.id, neverAborted())));
    await Promise.all(jobs.map(async (job) => writeAll((await start(worker, job)).log)));
    for (const events of await Promise.all(readers)) expect(events).toBeGreaterThan(2);
    expect(await calls(stores.redis, 'subscribe')).toBe(before);
  });

  it('merges the text of one turn, and sends the first at once', async () => {
    const { stores, store, worker } = await createWorld();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await start(worker, job);
    for (let index = 0; index < 100; index += 1) log.append({ text: `${index} ` });
    await waitUntil('it is logged', async () => (await store.get(job.id))?.seq === 3);
    const events = await readLog({ ...stores, jobId: job.id });
    expect(textOf(events).split(' ')).toHaveLength(101);
  });

  it('cuts a long text into events of a bounded size, and tears no character', async () => {
    const { stores, store, worker } = await createWorld();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await start(worker, job);
    const text = `x${'🙂'.repeat(50_000)}`;
    log.append({ text });
    expect(await log.finish(COMPLETED)).toBe('ok');
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(textOf(events)).toBe(text);
    const largest = Math.max(...events.map((event) => JSON.stringify(event).length));
    expect(largest).toBeLessThan(10_000);
    for (const event of events) expect(JSON.stringify(event)).not.toMatch(/\\ud[89a-f]/);
  });

  it('is read in pages of bounded size', async () => {
    const { store, worker } = await createWorld();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await start(worker, job);
    log.append({ text: 'long '.repeat(200_000) });
    expect(await log.finish(COMPLETED)).toBe('ok');
    let bytes = 0;
    for await (const page of store.follow(job.id, neverAborted())) {
      const size = page.reduce((total, { json }) => total + json.length, 0);
      expect(size).toBeLessThan(80_000);
      bytes += size;
    }
    expect(bytes).toBeGreaterThan(1_000_000);
  });

  it('is forgotten by followers who leave', async () => {
    const { url } = await createOwnRedis();
    const stores = createStores({ redisUrl: url });
    const store = await stores.producer();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const leaving = new AbortController();
    for await (const _events of store.follow(job.id, { after: 0, signal: leaving.signal })) {
      leaving.abort();
    }
    const key = `${stores.root}:{${job.id}}:job`;
    await waitUntil(
      'nobody follows',
      async () => (await stores.redis.hget(key, 'followers')) === '',
    );
  });
});

/** A Redis, a server's store and a worker's, for one test. */
async function createWorld() {
  const { url } = await createOwnRedis();
  const stores = createStores({ redisUrl: url });
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  return { stores, store, worker };
}

/** Writes a job's text while `trouble` happens every 100 ms, and compares log and reader with it. */
async function expectWholeLog(
  redisUrl: string,
  trouble: (redis: Redis) => Promise<void>,
): Promise<void> {
  const stores = createStores({ redisUrl });
  const [store, worker] = await Promise.all([
    stores.producer({ followTickMs: 500 }),
    stores.worker(),
  ]);
  const job = newJob();
  await store.submit(job, ANYWHERE);
  const { log, stops } = await start(worker, job);
  const reading = readText(store.follow(job.id, neverAborted()));

  const done = new AbortController();
  const troubling = (async () => {
    while (!done.signal.aborted) {
      await trouble(stores.redis);
      await sleep(100);
    }
  })();
  const text = await writeAll(log, { pauseMs: 2 });
  done.abort();
  await troubling;

  const events = await readLog({ ...stores, jobId: job.id });
  checkLog(events);
  expect(textOf(events)).toBe(text);
  expect(await reading).toBe(text);
  expect(stops).toEqual([]);
  expect((await store.get(job.id))?.state).toBe('completed');
}

async function start(
  worker: WorkerStore,
  job: NewJob,
): Promise<{ log: AttemptLog; stops: StopReason[] }> {
  const claimed = await worker.claim(
    { jobId: job.id, epoch: 1, class: job.class },
    { worker: 'w', token: 't' },
  );
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  const stops: StopReason[] = [];
  return { stops, log: claimed.openLog((reason) => stops.push(reason)) };
}

async function writeAll(log: AttemptLog, { pauseMs = 0 } = {}): Promise<string> {
  let text = '';
  for (let index = 0; index < TOKENS; index += 1) {
    log.append({ text: `${index} ` });
    text += `${index} `;
    if (pauseMs > 0) await sleep(pauseMs);
  }
  const outcome = await log.finish({
    event: {
      type: 'completed',
      finish_reason: 'stop',
      usage: null,
      timings: { queue_wait_ms: 0, ttft_ms: 0, run_ms: 0 },
    },
    result: { text, finish_reason: 'stop' },
  });
  expect(outcome).toBe('ok');
  return text;
}

type Pages = AsyncIterable<{ json: string }[]>;

async function readAll(pages: Pages): Promise<number> {
  let events = 0;
  for await (const page of pages) events += page.length;
  return events;
}

async function readText(pages: Pages): Promise<string> {
  let text = '';
  for await (const page of pages) {
    for (const { json } of page) text += (JSON.parse(json) as { text?: string }).text ?? '';
  }
  return text;
}

function neverAborted() {
  return { after: 0, signal: new AbortController().signal };
}

/** How often Redis has run a command since it started. */
async function calls(redis: Redis, command: string): Promise<number> {
  const stats = await redis.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}
