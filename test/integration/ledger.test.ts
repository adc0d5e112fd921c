import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Placement, ProducerStore, WorkerStore } from '@qarr/job-store';
import { depthOf } from '@qarr/router-core';
import type { JobClass, NewJob, TierLoad } from '@qarr/router-core';
import * as fc from 'fast-check';
import { expect, describe, it } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const CLASSES = ['interactive', 'standard', 'batch'] as const;
const OWNERS = ['ann', 'bob', 'eve'] as const;

describe('a limit', () => {
  it('is not passed by 200 submissions at once, by two processes', async () => {
    const { stores, submit } = await world({ producers: 2 });
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, at) => submit({}, { limits: { depthMax: 60 }, by: at % 2 })),
    );
    expect(outcomes.filter(({ kind }) => kind === 'created')).toHaveLength(60);
    for (const outcome of outcomes) {
      if (outcome.kind === 'created') continue;
      expect(outcome).toMatchObject({ kind: 'full', why: 'depth', load: { isAlerting: true } });
    }
    // What was refused has left nothing.
    expect(await stores.redis.zcard(`${stores.root}:open`)).toBe(60);
    expect(await stores.redis.hlen(`{${stores.root}:fast}:ledger`)).toBe(60);
  });

  it.each<[string, Partial<Placement['limits']>, Partial<NewJob>, object]>([
    ['on what is ahead of it', { tokensAheadMax: 99 }, {}, { kind: 'full', why: 'wait' }],
    ['on what is ahead of it, which suffices', { tokensAheadMax: 100 }, {}, { kind: 'created' }],
    // As soon as the first one.
    ['on what is ahead of another', { tokensAheadMax: 50 }, { owner: 'bob' }, { kind: 'created' }],
    ['which goes before all', { tokensAheadMax: 0 }, { class: 'interactive' }, { kind: 'created' }],
    ['which goes after all', { tokensAheadMax: 99 }, { class: 'batch' }, { kind: 'full' }],
    ['while nothing alerts', { whileAlerting: false }, {}, { kind: 'created' }],
  ])('%s', async (_name, limits, fields, expected) => {
    const { submit } = await world();
    await submit({}, { tokens: 60 });
    await submit({}, { tokens: 40 });
    expect(await submit(fields, { limits })).toMatchObject(expected);
  });

  it('on jobs that fallback brings counts those that wait and those that run', async () => {
    const { submit, claim, load } = await world();
    const rerouted = { from: 'precise', reason: 'alert' };
    const limits = { fallbackJobsMax: 2 };
    const first = newJob({ rerouted });
    await submit(first, { limits });
    await claim(first);
    expect(await submit({ rerouted }, { limits })).toMatchObject({ kind: 'created' });
    expect(await submit({ rerouted }, { limits })).toMatchObject({ kind: 'full', why: 'fallback' });
    expect((await load()).fallbackJobs).toBe(2);
    // Others are not counted with them.
    expect(await submit({})).toMatchObject({ kind: 'created' });
  });
});

describe('the queue-depth alert', () => {
  it('is raised above its threshold, cleared at half of it, and bars who asks for that', async () => {
    const { store, submit, claim, load } = await world({ alertPerWorker: 4 });
    await store.status('fast');
    const jobs = Array.from({ length: 5 }, () => newJob());
    for (const job of jobs.slice(0, 4)) await submit(job);
    expect((await load()).isAlerting).toBe(false);
    await submit(jobs[4] ?? {});
    expect((await load()).isAlerting).toBe(true);
    const limits = { whileAlerting: false };
    expect(await submit({ class: 'batch' }, { limits })).toMatchObject({ why: 'alert' });
    for (const job of jobs.slice(0, 2)) await claim(job);
    // Three wait: below the threshold, above half of it.
    expect((await load()).isAlerting).toBe(true);
    for (const job of jobs.slice(2, 3)) await claim(job);
    expect((await load()).isAlerting).toBe(false);
    expect(await submit({ class: 'batch' }, { limits })).toMatchObject({ kind: 'created' });
  });

  it('does not count batch work, which waits by design', async () => {
    const { store, submit, load } = await world({ alertPerWorker: 4 });
    await store.status('fast');
    for (let job = 0; job < 20; job += 1) await submit({ class: 'batch' });
    expect((await load()).isAlerting).toBe(false);
  });

  it('has a higher threshold with more workers', async () => {
    const { store, stores, submit, load } = await world({ alertPerWorker: 4 });
    for (const id of ['w1', 'w2']) await beat(await stores.worker(), id);
    await store.status('fast');
    for (let job = 0; job < 8; job += 1) await submit({});
    expect((await load()).isAlerting).toBe(false);
    await submit({});
    expect((await load()).isAlerting).toBe(true);
  });
});

describe('the order', () => {
  it('puts the one job of a tenant before the many of another', async () => {
    const { submit, order } = await world();
    const many = Array.from({ length: 50 }, () => newJob({ owner: 'ann' }));
    for (const job of many) await submit(job);
    const one = newJob({ owner: 'bob' });
    await submit(one);
    const found = await order(51);
    // The first of the many has come before; no other has.
    expect(found.indexOf(one.id)).toBe(1);
    expect(found.filter((id) => id !== one.id)).toEqual(many.map(({ id }) => id));
  });

  it('gives no more to a tenant that always has one waiting', async () => {
    const { submit, start } = await world();
    for (let job = 0; job < 20; job += 1) await submit({ owner: 'ann' });
    await submit({ owner: 'bob' });
    const served: string[] = [];
    for (let round = 0; round < 20; round += 1) {
      const { owner } = await start();
      served.push(owner);
      if (owner === 'bob') await submit({ owner: 'bob' });
    }
    const bobs = served.filter((owner) => owner === 'bob').length;
    expect(bobs).toBeGreaterThanOrEqual(9);
    expect(bobs).toBeLessThanOrEqual(11);
  });

  it('gives every tenth start to standard while interactive jobs never end', async () => {
    const { submit, start } = await world();
    for (let job = 0; job < 5; job += 1) await submit({ class: 'standard' });
    for (let job = 0; job < 3; job += 1) await submit({ class: 'interactive' });
    const served: JobClass[] = [];
    for (let round = 0; round < 30; round += 1) {
      const { class: jobClass } = await start();
      served.push(jobClass);
      if (jobClass === 'interactive') await submit({ class: 'interactive' });
    }
    const standard = served.flatMap((jobClass, at) => (jobClass === 'standard' ? [at] : []));
    expect(standard).toEqual([9, 19, 29]);
  });

  it('gives standard every fourth start when the first of it has waited half of its time', async () => {
    const { submit, start, load } = await world();
    await submit({ class: 'interactive' });
    await submit({ class: 'standard', queueTimeoutMs: 60_000 });
    expect((await load()).isStandardLate).toBe(false);
    await start();
    await start();
    for (let job = 0; job < 5; job += 1) await submit({ class: 'standard', queueTimeoutMs: 1 });
    await submit({ class: 'interactive' });
    await waitUntil('the first is late', async () => (await load()).isStandardLate);
    const served: JobClass[] = [];
    for (let round = 0; round < 8; round += 1) {
      const { class: jobClass } = await start();
      served.push(jobClass);
      if (jobClass === 'interactive') await submit({ class: 'interactive' });
    }
    expect(served.filter((jobClass) => jobClass === 'standard')).toHaveLength(2);
  });

  it('puts what comes back before what is new, class by class', async () => {
    const { submit, stores } = await world();
    const [back, fresh] = [newJob(), newJob()];
    const urgent = newJob({ class: 'interactive' });
    await submit(back);
    const delivered: string[] = [];
    const worker = await stores.worker();
    worker.consume({
      queue: 'foreground',
      concurrency: 1,
      paused: false,
      async deliver({ jobId }) {
        delivered.push(jobId);
        if (delivered.length > 1) {
          // Until then what came back is due.
          await sleep(20);
          return { kind: 'done' };
        }
        await submit(fresh);
        await submit(urgent);
        return { kind: 'again', delayMs: 1 };
      },
    });
    await waitUntil('all are delivered', () => delivered.length === 4);
    expect(delivered).toEqual([back.id, urgent.id, back.id, fresh.id]);
  });

  it('goes on where the tags have come to their end', async () => {
    const { store, stores, submit, order, start } = await world();
    const queue = `{${stores.root}:fast}:prioritized`;
    const tags = `{${stores.root}:fast}:ledger-tags-standard`;
    const counts = `{${stores.root}:fast}:ledger-counts`;
    const jobs = Array.from({ length: 4 }, (_, at) => newJob({ owner: at < 3 ? 'ann' : 'bob' }));
    await submit(jobs[0] ?? {});
    // As after very many starts without an empty queue.
    await stores.redis.hset(counts, 'v:standard', 999_990);
    await stores.redis.hset(tags, 'ann', 999_996);
    await submit(jobs[1] ?? {});
    await submit(jobs[2] ?? {});
    expect(Number(await stores.redis.hget(tags, 'ann'))).toBeLessThan(20);
    await submit(jobs[3] ?? {});
    // It was on its way to the queue meanwhile, and came with the tag of before.
    const late = jobs[3]?.id ?? '';
    await stores.redis.zincrby(queue, 990_000 * 2 ** 32, late);
    expect((await order(4)).indexOf(late)).toBe(3);
    await waitUntil('it has its place', async () => {
      await store.sweep();
      return (await order(4)).indexOf(late) === 1;
    });
    const [first, second, third, fourth] = jobs.map(({ id }) => id);
    expect(await order(4)).toEqual([first, fourth, second, third]);
    await start();
  });
});

describe('the ledger', () => {
  it('counts what a recount gives, whatever happens to the jobs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const all = await world();
        const jobs: NewJob[] = [];
        for (const { kind, at, ...fields } of steps) {
          const job = jobs[at % Math.max(1, jobs.length)];
          if (kind === 'submit' || job === undefined) {
            const next = newJob(fields);
            jobs.push(next);
            await all.submit(next, { tokens: fields.tokens });
          } else await all[kind](job);
        }
        await expectRecounted(all.stores, jobs);
        for (const { id } of jobs) await all.store.cancel(id);
        await all.endRunning();
        expect(await all.load()).toMatchObject({ ...EMPTY, isAlerting: false });
        expect(await all.stores.redis.hlen(`{${all.stores.root}:fast}:ledger`)).toBe(0);
        expect(await all.stores.redis.zcard(`{${all.stores.root}:fast}:ledger-order`)).toBe(0);
        expect(await all.stores.redis.keys(`{${all.stores.root}:fast}:ledger-tags-*`)).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  it('forgets a submission that was given up, and one that has ended unseen', async () => {
    const { store, stores, submit, load } = await world({ mendAfterMs: 0 });
    const lost = newJob();
    const over = newJob();
    for (const job of [lost, over]) await submit(job);
    await stores.redis.del(`${stores.root}:{${lost.id}}:job`);
    await stores.redis.hset(`${stores.root}:{${over.id}}:job`, 'state', 'completed');
    await waitUntil('the sweep has found them', async () => {
      await store.sweep();
      return depthOf(await load()) === 0;
    });
  });

  it('leaves alone what is being written', async () => {
    const { store, stores, submit, load } = await world({ mendAfterMs: 60_000 });
    const job = newJob();
    await submit(job);
    await stores.redis.del(`${stores.root}:{${job.id}}:job`);
    for (let sweep = 0; sweep < 4; sweep += 1) await store.sweep();
    expect(depthOf(await load())).toBe(1);
  });
});

const step = fc.record({
  kind: fc.constantFrom('submit', 'claim', 'giveBack', 'cancel', 'finish', 'remove'),
  at: fc.nat(100),
  owner: fc.constantFrom(...OWNERS),
  class: fc.constantFrom(...CLASSES),
  tokens: fc.integer({ min: 1, max: 5_000 }),
});

const NONE = { jobs: 0, tokens: 0 };
const EMPTY = {
  waiting: { interactive: NONE, standard: NONE, batch: NONE },
  running: { interactive: NONE, standard: NONE, batch: NONE },
  fallbackJobs: 0,
};

/** A store, its jobs, and a worker that begins and ends them by hand. */
async function world({
  producers = 1,

  ...options
}: Record<string, unknown> & {
  producers?: number;
} = {}) {
  const stores = createStores();
  const opened = await Promise.all(
    Array.from({ length: producers }, () => stores.producer({ passEveryMs: 0, ...options })),
  );
  const [store] = opened as [ProducerStore, ...ProducerStore[]];
  const worker: WorkerStore = await stores.worker();
  type Run = Extract<Awaited<ReturnType<WorkerStore['claim']>>, { kind: 'run' }>;
  const running = new Map<string, ReturnType<Run['openLog']>>();
  const byId = new Map<string, NewJob>();
  const entries = (kind: '' | '_batch') => `{${stores.root}:fast}${kind}:prioritized`;

  async function submit(
    fields: Partial<NewJob>,
    {
      limits = {},
      tokens = 1,
      by = 0,
    }: { limits?: Partial<Placement['limits']>; tokens?: number; by?: number } = {},
  ) {
    const job = newJob({ ...fields });
    byId.set(job.id, job);
    const placement = { ...ANYWHERE, tokens, limits: { ...ANYWHERE.limits, ...limits } };
    return (opened[by] ?? store).submit(job, placement);
  }

  async function claim({ id, class: jobClass }: NewJob): Promise<void> {
    const entry = { jobId: id, epoch: 1, class: jobClass };
    if (running.has(id)) return;
    const claimed = await worker.claim(entry, { worker: 'w', token: randomUUID() });
    if (claimed.kind !== 'run') return;
    running.set(
      id,
      claimed.openLog(() => {}),
    );
    await waitUntil('it is noted', async () => (await stateOf(id)) !== 'w');
  }

  async function stateOf(id: string): Promise<string | undefined> {
    return (await stores.redis.hget(`{${stores.root}:fast}:ledger`, id))?.slice(0, 1);
  }

  async function end(id: string, how: 'cancelled' | 'completed'): Promise<void> {
    const log = running.get(id);
    if (log === undefined) return;
    running.delete(id);
    const usage = null;
    const timings = { queue_wait_ms: 0, ttft_ms: null, run_ms: 0 };
    const event =
      how === 'cancelled'
        ? ({ type: 'cancelled', ran: true, tokens: 0, usage, timings } as const)
        : ({ type: 'completed', finish_reason: 'stop', usage, timings } as const);
    const result = { text: '', finish_reason: 'stop' } as const;
    const ended = await log.finish(how === 'cancelled' ? { event } : { event, result });
    if (ended === 'cancel') {
      running.set(id, log);
      return end(id, 'cancelled');
    }
    await waitUntil('it is closed', async () => (await stateOf(id)) === undefined);
  }

  return {
    store,
    stores,
    submit,
    claim,
    finish: ({ id }: NewJob) => end(id, 'completed'),
    async endRunning() {
      for (const id of running.keys()) await end(id, 'cancelled');
    },
    async giveBack({ id }: NewJob) {
      const log = running.get(id);
      if (log === undefined) return;
      if ((await log.requeue({ burns: 'nothing' })) !== 'ok') return;
      running.delete(id);
      await waitUntil('it is noted', async () => (await stateOf(id)) === 'w');
    },
    async cancel({ id }: NewJob) {
      await store.cancel(id);
    },
    async remove({ id }: NewJob) {
      if (running.has(id)) return;
      await store.delete(id);
    },
    load: async (): Promise<TierLoad> => await worker.load(),
    /** Ids of the next jobs of the foreground queue. */
    order: (count: number) => stores.redis.zrange(entries(''), '0', String(count - 1)),
    /** Starts the next job, as the queue gives it. */
    async start(): Promise<NewJob> {
      const [id = ''] = await stores.redis.zpopmin(entries(''));
      const job = byId.get(id);
      if (job === undefined) throw new Error('Nothing waits');
      await claim(job);
      return job;
    },
  };
}

async function expectRecounted({ redis, root }: Stores, jobs: readonly NewJob[]): Promise<void> {
  const entries = Object.values(await redis.hgetall(`{${root}:fast}:ledger`));
  expect(entries.length).toBeLessThanOrEqual(jobs.length);
  const counts = await redis.hgetall(`{${root}:fast}:ledger-counts`);
  for (const state of ['w', 'r']) {
    for (const jobClass of CLASSES) {
      const some = entries.filter((entry) => entry.startsWith(`${state} ${jobClass} `));
      const tokens = some.reduce((sum, entry) => sum + Number(entry.split(' ')[2]), 0);
      expect(Number(counts[`${state}:${jobClass}:jobs`] ?? 0)).toBe(some.length);
      expect(Number(counts[`${state}:${jobClass}:tokens`] ?? 0)).toBe(tokens);
    }
  }
}

async function beat(worker: WorkerStore, id: string): Promise<void> {
  await worker.beat({
    id,
    host: 'gpu',
    pid: 1,
    slots: 1,
    running: 0,
    breaker: 'closed',
    upstream: 'http://127.0.0.1:1',
    model: 'm',
    max_model_len: null,
    service_ms: null,
  });
}
