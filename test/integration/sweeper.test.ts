/** What the sweep ends, mends and forgets; the crashes themselves are in `crashes.test.ts`. */
import { connect } from 'node:net';
import type { AttemptLog, ProducerStore, WorkerStore } from '@qarr/job-store';
import { jobError } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkLog, readLog } from '../harness/job-log.ts';
import { ANYWHERE, createStores, entriesOf, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

/** Longer than a worker is waited for. */
const LONG_AGO_MS = 60_000;
const MADE = { usage: null, timings: { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 } };
const COMPLETED = {
  event: { type: 'completed', finish_reason: 'stop', ...MADE },
  result: { text: '', finish_reason: 'stop' },
} as const;
const OUT_OF_TIME = { event: { type: 'failed', error: jobError('run_timeout'), ...MADE } } as const;
const CANCELLED = { event: { type: 'cancelled', ran: true, tokens: 3, ...MADE } } as const;

describe('the sweep gives to its queue', () => {
  it('a job that never reached it, and once', async () => {
    const { store, stores } = await world();
    const job = await submit(store);
    // As if the process had died between the record and the queue.
    await dropQueues(stores);
    expect(await entriesOf(stores, 'fast')).toBe(0);
    await store.sweep();
    await store.sweep();
    expect(await entriesOf(stores, 'fast')).toBe(1);
    expect((await store.get(job.id))?.state).toBe('queued');
  });

  it('no batch job whose entry lies in the one queue that tiers had before', async () => {
    const { store, stores } = await world();
    const { redis, root } = stores;
    const job = newJob({ class: 'batch' });
    await store.submit(job, ANYWHERE);
    const [now, before] = [`{${root}:fast}_batch`, `{${root}:fast}`];
    await redis.rename(`${now}:${job.id}`, `${before}:${job.id}`);
    await redis.zrem(`${now}:prioritized`, job.id);
    await redis.zadd(`${before}:prioritized`, 1, job.id);
    await store.sweep();
    await store.sweep();
    expect(await redis.exists(`${now}:${job.id}`)).toBe(0);
    expect(await entriesOf(stores, 'fast')).toBe(1);
  });

  it('a running job whose entry is lost, to be taken over', async () => {
    const { store, stores, worker } = await world();
    const job = await submit(store);
    await claim(worker, job, 't1');
    await dropQueues(stores);
    await store.sweep();
    expect(await entriesOf(stores, 'fast')).toBe(1);
    await claim(worker, job, 't2');
    expect((await store.get(job.id))?.attempt).toBe(2);
  });
});

describe('the backlog', () => {
  it('tells of open jobs, and for how long the time of one is up that nobody has ended', async () => {
    const { store, stores } = await world();
    expect(await store.backlog()).toEqual({ jobs: 0, batches: 0, overdueMs: 0 });
    const job = await submit(store);
    await submit(store);
    expect(await store.backlog()).toEqual({ jobs: 2, batches: 0, overdueMs: 0 });
    await stores.redis.zadd(`${stores.root}:deadlines`, Date.now() - LONG_AGO_MS, job.id);
    const { overdueMs } = await store.backlog();
    expect(overdueMs).toBeGreaterThan(LONG_AGO_MS - 5_000);
    // Its time is not up after all.
    await store.sweep();
    expect(await store.backlog()).toEqual({ jobs: 2, batches: 0, overdueMs: 0 });
  });
});

describe('the sweep ends', () => {
  it('a job that was handed back and that nobody runs any more, when its time to run is over', async () => {
    const { store, stores, worker } = await world();
    const job = await submit(store, { runTimeoutMs: 1_000 });
    const log = await claim(worker, job);
    await log.requeue({ burns: 'nothing' });
    await store.sweep();
    expect((await store.get(job.id))?.state).toBe('queued');

    await setBack({ stores, job, field: 'started_at' });
    const told: unknown[] = [];
    const watched = await stores.producer({
      onChange: ({ jobId, to, cause }) => void told.push({ jobId, to, cause }),
    });
    await watched.sweep();
    expect((await store.get(job.id))?.error).toEqual(jobError('run_timeout'));
    expect(told).toEqual([{ jobId: job.id, to: 'failed', cause: 'run_timeout' }]);
    await expectLegalEnd({ stores, job, store });
  });

  it('a running job whose worker is gone, when its time to run is over', async () => {
    const { store, stores, worker } = await world();
    const job = await submit(store, { runTimeoutMs: 1_000 });
    const zombie = await claim(worker, job);
    // Its time is over, but a live worker would still end it.
    await setBack({ stores, job, field: 'started_at', ms: 3_000 });
    await store.sweep();
    expect((await store.get(job.id))?.state).toBe('running');

    await setBack({ stores, job, field: 'started_at' });
    await store.sweep();
    expect((await store.get(job.id))?.error).toEqual(jobError('run_timeout'));
    expect(await zombie.finish(COMPLETED)).toBe('superseded');
    // In the same way, but it was not this worker who has ended it.
    expect(await zombie.finish(OUT_OF_TIME)).toBe('superseded');
    await expectLegalEnd({ stores, job, store });
  });

  it('a running job that was cancelled and whose worker does not hear of it', async () => {
    const { store, stores, worker } = await world();
    const job = await submit(store);
    const zombie = await claim(worker, job);
    zombie.append({ text: 'Hel', tokenIds: [1, 2, 3] });
    await waitUntil('the text is logged', async () => (await store.get(job.id))?.seq === 3);
    expect(await store.cancel(job.id)).toBe('running');
    await store.sweep();
    expect((await store.get(job.id))?.state).toBe('running');

    await stores.redis.hset(record(stores, job.id), 'tokens_made', 3);
    await setBack({ stores, job, field: 'cancel_at' });
    // Asking again does not begin the wait anew.
    expect(await store.cancel(job.id)).toBe('running');
    await store.sweep();
    expect((await store.get(job.id))?.state).toBe('cancelled');
    zombie.append({ text: 'ghost' });
    expect(await zombie.finish(COMPLETED)).toBe('superseded');
    expect(await zombie.finish(CANCELLED)).toBe('superseded');
    expect(await store.cancel(job.id)).toBe('cancelled');
    const events = await expectLegalEnd({ stores, job, store });
    expect(JSON.stringify(events)).not.toContain('ghost');
    expect(events.at(-1)).toMatchObject({ ran: true, tokens: 3 });
  });

  it('jobs beside one that cannot be read, and beside one of a tier that it does not know', async () => {
    const { store, stores } = await world();
    const [foreign, own] = [
      await submit(store, { queueTimeoutMs: 1 }),
      await submit(store, { queueTimeoutMs: 2 }),
    ];
    await stores.redis.hset(record(stores, foreign.id), 'tier', 'gone');
    await stores.redis.set(record(stores, 'broken'), 'not a record');
    await stores.redis.zadd(`${stores.root}:deadlines`, 0, 'broken');
    await stores.redis.zadd(`${stores.root}:open`, 0, 'broken');
    await waitUntil('both are expired', async () => {
      await store.sweep();
      const states = await Promise.all([store.get(foreign.id), store.get(own.id)]);
      return states.every((job) => job?.state === 'expired');
    });
    expect(await stores.redis.zrange(`${stores.root}:deadlines`, '0', '-1')).toEqual(['broken']);
    expect(stores.errors.length).toBeGreaterThan(0);
    expect(stores.errors.every(({ message }) => message.includes('WRONGTYPE'))).toBe(true);
  });

  it('does not forget a job that is about to be written', async () => {
    const stores = createStores();
    const store = await stores.producer({ passEveryMs: 0 });
    const { redis, root } = stores;
    const job = newJob({ queueTimeoutMs: 1 });
    // As far as a submission has come before it writes the record.
    await redis.zadd(`${root}:open`, Date.now(), job.id);
    await redis.zadd(`${root}:deadlines`, Date.now() - 1, job.id);
    await store.sweep();
    expect(await redis.zcard(`${root}:open`)).toBe(1);
    expect(await redis.zcard(`${root}:deadlines`)).toBe(1);
  });
});

describe('the sweep notices', () => {
  it('what a worker that died right after its claim has not told the indexes', async () => {
    const { store, stores, worker } = await world();
    const job = await submit(store, { queueTimeoutMs: 86_400_000, runTimeoutMs: 1_000 });
    await claim(worker, job);
    const { redis, root } = stores;
    await waitUntil('the worker has told', () => redis.zscore(`${root}:started`, job.id));
    await redis.zadd(`${root}:deadlines`, Date.now() + 86_400_000, job.id);
    await redis.zrem(`${root}:started`, job.id);
    await redis.zrem(`${root}:jobs:anonymous:open`, job.id);
    await store.sweep();
    const { startedAt, createdAt } = (await store.get(job.id)) ?? {};
    expect(await redis.zscore(`${root}:deadlines`, job.id)).toBe(
      String(Number(startedAt) + 1_000 + 10_000),
    );
    expect(await redis.zscore(`${root}:started`, job.id)).toBe(String(createdAt));
    expect(await redis.zscore(`${root}:jobs:anonymous:open`, job.id)).toBe(String(createdAt));
  });
});

describe('what the end of a job asks for', () => {
  it.each<
    [
      string,
      (world: { store: ProducerStore; redis: Redis; root: string; jobId: string }) => unknown,
    ]
  >([
    ['is deleted', ({ store, jobId }) => store.delete(jobId)],
    [
      'is deleted by a process that dies after that',
      async ({ redis, root, jobId }) => {
        const key = `${root}:{${jobId}}:job`;
        await redis.zadd(`${root}:open`, 'NX', 1, jobId);
        await redis.del(key, `${root}:{${jobId}}:log`);
        await redis.hset(key, {
          deleted: 'completed',
          tier: 'fast',
          class: 'standard',
          epoch: 1,
          owner: 'anonymous',
        });
      },
    ],
  ])(
    'leaves it in no list where it %s before its worker has entered it there',
    async (_name, remove) => {
      // All that it is asked is looked at: nobody else's.
      const { url: redisUrl } = await createOwnRedis();
      const stores = createStores({ redisUrl });
      const { redis, root } = stores;
      const store = await stores.producer({ passEveryMs: 0 });
      const proxy = await startTcpProxy({ targetPort: Number(new URL(redisUrl).port) });
      onTestFinished(() => proxy.stop());
      const slowStores = createStores({ redisUrl: `redis://127.0.0.1:${proxy.port}`, root });
      const worker = await slowStores.worker();
      // Its end is to be announced, which no script can do.
      const webhook = { url: 'https://example.com/', events: ['completed'] as const };
      const job = await submit(store, { webhook });
      const log = await claim(worker, job);

      // By hand: a client library takes the first of what it sees for a reply.
      let seen = '';
      const monitor = connect(Number(new URL(redisUrl).port), '127.0.0.1');
      onTestFinished(() => void monitor.destroy());
      monitor.on('data', (chunk: Buffer) => (seen += chunk.toString('utf8').toLowerCase()));
      monitor.write('MONITOR\r\n');
      await waitUntil('all is seen', () => seen.startsWith('+ok'));
      const said = (command: string) => {
        const quoted = command.split(' ').map((word) => `"${word.toLowerCase()}"`);
        return waitUntil(command, () => seen.includes(quoted.join(' ')));
      };
      // So long that all of a deletion fits between two commands of the worker.
      await proxy.apply({ kind: 'latency', delayMs: 400 });
      const finished = log.finish(COMPLETED);
      await said(`hmget ${record(stores, job.id)} tier class`);
      await remove({ store, redis, root, jobId: job.id });
      await said(`zadd ${root}:jobs:anonymous:completed`);
      await finished;
      await waitUntil('nothing is left of it', async () => {
        await store.sweep();
        const names = await redis.keys(`${root}:*`);
        // Besides the heartbeats of the replicas.
        return names.every((name) => name === `${root}:replicas`);
      });
    },
  );

  it('takes it out again where a sweep that saw it open puts it back after its end', async () => {
    const { store, stores, worker } = await world();
    const { redis, root } = stores;
    const job = await submit(store);
    const log = await claim(worker, job, 't1');
    const [list, ledger] = [`${root}:jobs:${job.owner}:open`, `{${root}:fast}:ledger`];
    const entry = (await redis.hget(ledger, job.id)) ?? '';
    await log.finish(COMPLETED);
    await waitUntil('it is closed', async () => (await redis.zscore(list, job.id)) === null);
    await redis.zadd(list, 1, job.id);
    await redis.hset(ledger, job.id, entry);
    // As the sweep does, behind what it has put back.
    await claim(worker, job, 't2').catch(() => {});
    const isOut = async () =>
      (await redis.zscore(list, job.id)) === null && (await redis.hexists(ledger, job.id)) === 0;
    await waitUntil('it is in none of them', isOut);
  });

  it('is done once, however often it is cancelled or looked at', async () => {
    const { store, stores } = await world();
    const job = await submit(store);
    await store.cancel(job.id);
    const list = `${stores.root}:jobs:anonymous:cancelled`;
    expect(await stores.redis.zrem(list, job.id)).toBe(1);
    await stores.redis.zadd(`${stores.root}:deadlines`, 1, job.id);
    await store.cancel(job.id);
    await store.sweep();
    expect(await stores.redis.zcard(list)).toBe(0);
    expect(await stores.redis.zcard(`${stores.root}:deadlines`)).toBe(0);
  });
});

describe('the index of deadlines', () => {
  it('is told when a job has been started, and when it is to be cancelled', async () => {
    const { store, stores, worker } = await world();
    const { redis, root } = stores;
    const job = await submit(store, { queueTimeoutMs: 86_400_000, runTimeoutMs: 3_600_000 });
    const dueAt = async () => Number(await redis.zscore(`${root}:deadlines`, job.id));
    await claim(worker, job);
    await waitUntil('the claim is noted', () => redis.zscore(`${root}:started`, job.id));
    const startedAt = Number((await store.get(job.id))?.startedAt);
    expect(await dueAt()).toBe(startedAt + 3_600_000 + 10_000);

    await store.cancel(job.id);
    const cancelAt = Number(await redis.hget(record(stores, job.id), 'cancel_at'));
    expect(await dueAt()).toBe(cancelAt + 10_000);
  });
});

describe('the sweep forgets', () => {
  it('index entries without a job', async () => {
    const { store, stores } = await world();
    for (const index of ['open', 'deadlines', 'started']) {
      await stores.redis.zadd(`${stores.root}:${index}`, 1, 'job_ghost');
    }
    await store.sweep();
    expect(await stores.redis.keys(`${stores.root}:*`)).toEqual([]);
  });

  it('queue entries whose job is over or gone, where no worker would find them', async () => {
    const { store, stores } = await world();
    const [over, gone, waiting] = [
      await submit(store),
      await submit(store),
      await submit(store, { tier: 'precise' }),
    ];
    await stores.redis.hset(record(stores, over.id), 'state', 'failed');
    await stores.redis.del(record(stores, gone.id), record(stores, gone.id).replace(/job$/, 'log'));
    // Nothing but the queue knows of them.
    for (const { id } of [over, gone]) await stores.redis.zrem(`${stores.root}:open`, id);
    expect(await entriesOf(stores, 'fast')).toBe(2);
    await store.sweep();
    expect(await entriesOf(stores, 'fast')).toBe(0);
    expect(await entriesOf(stores, 'precise')).toBe(1);
    expect((await store.get(waiting.id))?.state).toBe('queued');
    const traces = await stores.redis.keys(`*${stores.root}*${gone.id}*`);
    expect(traces).toEqual([]);
  });

  it('finished jobs when their record goes, in steps', async () => {
    const stores = createStores();
    const [store, worker] = await Promise.all([
      stores.producer({ retention: { resultMs: 100, logMs: 100 } }),
      stores.worker(),
    ]);
    const [short, long] = [await submit(store), newJob()];
    const keeper = await stores.producer();
    await keeper.submit(long, ANYWHERE);
    for (const job of [short, long]) await (await claim(worker, job)).finish(COMPLETED);
    const index = `${stores.root}:jobs:anonymous:completed`;
    await waitUntil('both are listed', async () => (await stores.redis.zcard(index)) === 2);
    await waitUntil('the record is gone', async () => (await store.get(short.id)) === null);
    await store.sweep();
    expect(await stores.redis.zrange(index, '0', '-1')).toEqual([long.id]);
    expect(await stores.redis.zrange(`${stores.root}:kept`, '0', '-1')).toEqual([
      `completed ${long.id} anonymous`,
    ]);
  });

  it('a deleted job as soon as the worker that holds its entry lets go of it', async () => {
    const { store, stores, worker } = await world();
    const job = newJob();
    const release = Promise.withResolvers<void>();
    const claimed = Promise.withResolvers<void>();
    worker.consume({
      queue: 'foreground',
      concurrency: 1,
      paused: false,
      async deliver(entry, { token }) {
        await worker.claim(entry, { worker: 'w', token });
        claimed.resolve();
        await release.promise;
        return { kind: 'done' };
      },
    });
    await store.submit(job, ANYWHERE);
    await claimed.promise;
    expect(await store.delete(job.id)).toBe(true);
    expect(await store.get(job.id)).toBeNull();
    await store.sweep();
    expect(await stores.redis.pttl(`${stores.root}:{${job.id}}:job`)).toBeGreaterThan(0);
    // As long as it is held, the sweep knows that there is something left to do.
    expect(await stores.redis.zcard(`${stores.root}:open`)).toBe(1);
    release.resolve();
    await waitUntil('nothing names it', async () => {
      await store.sweep();
      return (await stores.redis.keys(`*${stores.root}*${job.id}*`)).length === 0;
    });
    expect(await stores.redis.zcard(`${stores.root}:open`)).toBe(0);
    expect(stores.errors).toEqual([]);
  });
});

async function world() {
  const stores = createStores();
  const [store, worker] = await Promise.all([
    stores.producer({ mendAfterMs: 0, passEveryMs: 0 }),
    stores.worker(),
  ]);
  return { stores, store, worker };
}

async function submit(store: ProducerStore, fields: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob(fields);
  await store.submit(job, ANYWHERE);
  return job;
}

async function claim(worker: WorkerStore, job: NewJob, token = 't1'): Promise<AttemptLog> {
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  const claimed = await worker.claim(entry, { worker: 'w', token });
  if (claimed.kind !== 'run') throw new Error('dropped');
  return claimed.openLog(() => {});
}

function record({ root }: Stores, jobId: string): string {
  return `${root}:{${jobId}}:job`;
}

async function dropQueues({ redis, root }: Stores): Promise<void> {
  await redis.del(...(await redis.keys(`{${root}:fast}:*`)));
}

/** Makes a time of the record lie in the past. Its index entry may be early, and is due now. */
async function setBack({
  stores,
  job,
  field,
  ms = LONG_AGO_MS,
}: {
  stores: Stores;
  job: NewJob;
  field: string;
  ms?: number;
}): Promise<void> {
  const { redis, root } = stores;
  // What its claim has told the index shall not come after this.
  await waitUntil('the claim is noted', () => redis.zscore(`${root}:started`, job.id));
  await redis.hincrby(record(stores, job.id), field, -ms);
  await redis.zadd(`${root}:deadlines`, 1, job.id);
}

/** One terminal event, no queue entry, and in no index of open jobs. */
async function expectLegalEnd({
  stores,
  job,
  store,
}: {
  stores: Stores;
  job: NewJob;
  store: ProducerStore;
}) {
  const events = await readLog({ ...stores, jobId: job.id });
  checkLog(events);
  const state = (await store.get(job.id))?.state;
  expect(events.at(-1)?.type).toBe(state);
  expect(await entriesOf(stores, job.tier)).toBe(0);
  for (const index of ['open', 'deadlines', 'started']) {
    expect(await stores.redis.zcard(`${stores.root}:${index}`)).toBe(0);
  }
  return events;
}
