/**
 * Moving a waiting job to another tier: by whom, whenever, beside whatever else, and killed in the
 * middle of it. It runs once, and in the end there is in both tiers what its state needs, no more.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createProducerStore } from '@qarr/job-store';
import type { PlacedJob, ProducerStore, WorkerStore } from '@qarr/job-store';
import { QarrError, isTerminalState } from '@qarr/router-core';
import type { EntryLimits, JobRecord, LoggedEvent, NewJob } from '@qarr/router-core';
import fc from 'fast-check';
import { describe, expect, inject, it } from 'vitest';
import { actAndDie } from '../harness/crash-point.ts';
import { checkLog, readLog, textOf } from '../harness/job-log.ts';
import { tracesOf } from '../harness/redis-traces.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TIERS = ['fast', 'precise'] as const;
const TO_PRECISE = { to: 'precise', reason: 'breaker_open' };
const LIMITS: EntryLimits = {
  depthMax: 1_000,
  tokensAheadMax: null,
  whileAlerting: false,
  fallbackJobsMax: 1_000,
};
/** More than a move sends. */
const COMMANDS_MAX = 12;
const WORLDS = 30;
const TIMINGS = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };

describe('a job that waits', () => {
  it('is moved, told of it, and run in its new tier', async () => {
    const { store, stores } = await world();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const leaving = new AbortController();
    const seen: LoggedEvent[] = [];
    const following = (async () => {
      for await (const page of store.follow(job.id, { after: 0, signal: leaving.signal })) {
        seen.push(...page);
      }
    })().catch(() => {});
    await waitUntil('it is followed', () => seen.length === 1);

    expect(await store.move(await placed(store, job), { ...TO_PRECISE, limits: LIMITS })).toEqual({
      kind: 'moved',
    });
    const record = await store.get(job.id);
    const rerouted = { from: 'fast', reason: 'breaker_open' };
    expect(record).toMatchObject({ tier: 'precise', epoch: 2, state: 'queued', seq: 2, rerouted });
    await expectConsistent(stores, store, [job]);
    expect((await store.status('precise')).load.fallbackJobs).toBe(1);

    const runs = await consume(stores);
    await waitUntil('its end is told', () => seen.at(-1)?.type === 'completed');
    expect(seen.map(({ type }) => type)).toEqual([
      'queued',
      'rerouted',
      'started',
      'delta',
      'completed',
    ]);
    expect(JSON.parse(seen[1]?.json ?? '')).toEqual({
      type: 'rerouted',
      from: 'fast',
      to: 'precise',
      reason: 'breaker_open',
    });
    expect(runs.get(job.id)).toEqual(['precise']);
    leaving.abort();
    await following;
  });

  it('is moved after a try that has published nothing', async () => {
    const { store, stores, worker } = await world();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    await handBack(worker, job);
    await waitUntil('it waits again', async () => (await waiting(store)).length === 1);
    expect(await move(store, await placed(store, job))).toEqual({ kind: 'moved' });
    await consume(stores);
    await untilOver(store, [job]);
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(events.map(({ type }) => type).slice(0, 4)).toEqual([
      'queued',
      'started',
      'rerouted',
      'started',
    ]);
  });

  it('is moved once at most, by however many at once', async () => {
    const { store, stores } = await world({ tiers: ['fast', 'balanced', 'precise'] });
    const jobs = await Promise.all(Array.from({ length: 10 }, () => submitted(store)));
    const movers = await Promise.all(Array.from({ length: 4 }, () => stores.producer(THREE)));
    const pages = await waiting(store);
    const outcomes = await Promise.all(
      pages.flatMap((job) =>
        movers.map((mover, at) =>
          mover.move(job, { ...TO_PRECISE, to: THREE.tiers[1 + (at % 2)] ?? '', limits: LIMITS }),
        ),
      ),
    );
    expect(outcomes.filter(({ kind }) => kind === 'moved')).toHaveLength(10);
    for (const { id } of jobs) {
      const events = await readLog({ ...stores, jobId: id });
      expect(events.map(({ type }) => type)).toEqual(['queued', 'rerouted']);
    }
    await expectConsistent(stores, store, jobs, THREE.tiers);
  });
});

describe('a job is not moved', () => {
  const cases: [string, Partial<NewJob>, (all: World, job: NewJob) => Promise<unknown>][] = [
    ['whose client does not allow it', { fallback: 'none' }, async () => {}],
    ['that was moved before', { rerouted: { from: 'precise', reason: 'alert' } }, async () => {}],
    ['that runs', {}, ({ worker }, job) => claim(worker, job)],
    ['that is over', {}, ({ store }, job) => store.cancel(job.id)],
    ['that is gone', {}, ({ store }, job) => store.delete(job.id)],
    [
      'whose time is up',
      { queueTimeoutMs: 1 },
      ({ stores }, job) =>
        waitUntil('its time is up', async () => {
          const due = await stores.redis.hget(`${stores.root}:{${job.id}}:job`, 'queue_deadline');
          const [seconds] = await stores.redis.time();
          return Number(seconds) * 1_000 > Number(due);
        }),
    ],
    ['that has text', {}, ({ worker }, job) => handBack(worker, job, 'text')],
    [
      'that has ended a worker',
      {},
      ({ stores }, job) => stores.redis.hset(`${stores.root}:{${job.id}}:job`, 'deaths', 1),
    ],
  ];
  it.each(cases)('%s', async (_name, fields, happen) => {
    const all = await world();
    const { store, stores } = all;
    const job = newJob(fields);
    await store.submit(job, ANYWHERE);
    await happen(all, job);
    const before = await stores.redis.hgetall(`${stores.root}:{${job.id}}:job`);
    expect(await move(store, placedByHand(job))).toEqual({ kind: 'stays' });
    expect(await stores.redis.hgetall(`${stores.root}:{${job.id}}:job`)).toEqual(before);
    expect(await stores.redis.hlen(`{${stores.root}:precise}:ledger`)).toBe(0);
    // Nor is it proposed, but where its time has just run out.
    const proposed = (await waiting(store)).filter(({ leftMs }) => leftMs > 0);
    expect(proposed).toEqual([]);
  });

  it.each<[string, Partial<EntryLimits>, object]>([
    ['fallback has brought as many as it may', { fallbackJobsMax: 1 }, { why: 'fallback' }],
    ['too much is ahead of it', { tokensAheadMax: 0 }, { why: 'wait' }],
    ['too many wait', { depthMax: 1 }, { why: 'depth' }],
  ])('to a tier where %s', async (_name, limits, expected) => {
    const { store, stores } = await world();
    const jobs = [await submitted(store), await submitted(store)];
    const [first, second] = await waiting(store);
    if (first === undefined || second === undefined) throw new Error('They do not wait');
    await move(store, first);
    const all = { ...LIMITS, ...limits };
    const outcome = await store.move(second, { ...TO_PRECISE, limits: all });
    expect(outcome).toMatchObject({ kind: 'full', ...expected, load: { fallbackJobs: 1 } });
    await expectConsistent(stores, store, jobs);
  });
});

describe('what waits', () => {
  it('is read in pages, in its fair order, and batches never', async () => {
    const { store } = await world();
    for (let job = 0; job < 3; job += 1) await submitted(store, { owner: 'ann' });
    await submitted(store, { owner: 'bob', fallback: 'any', fits: ['precise'] });
    await submitted(store, { class: 'batch' });
    const first = await store.waitingIn('fast', { from: 0, count: 2 });
    expect(first.jobs.map(({ owner }) => owner).toSorted()).toEqual(['ann', 'bob']);
    expect(first.jobs.find(({ owner }) => owner === 'bob')).toMatchObject({
      class: 'standard',
      fallback: 'any',
      fits: ['precise'],
      tokens: 1,
      epoch: 1,
    });
    expect(first.next).toBe(2);
    const second = await store.waitingIn('fast', { from: 2, count: 2 });
    expect(second.jobs.map(({ jobsAhead }) => jobsAhead)).toEqual([2, 3]);
    expect(second.jobs.every(({ leftMs }) => leftMs > 0 && leftMs <= 60_000)).toBe(true);
    expect(await store.waitingIn('fast', { from: 4, count: 2 })).toEqual({ jobs: [], next: null });
  });
});

/** What happens to a job while it is moved. */
const RACES = ['nothing', 'cancel', 'delete', 'expire'] as const;

interface Fate {
  readonly fallback: 'any' | 'none';
  readonly race: (typeof RACES)[number];
  /** Of each process that moves it: how many commands it sends before it dies, or null. */
  readonly movers: readonly (number | null)[];
}

const fate: fc.Arbitrary<Fate> = fc.record({
  fallback: fc.constantFrom('any', 'any', 'any', 'none'),
  race: fc.constantFrom(...RACES),
  movers: fc.array(fc.option(fc.nat(COMMANDS_MAX)), { minLength: 1, maxLength: 2 }),
});

/** While jobs are moved, in the midst of what the dead have left, or when that is mended. */
const COMING = ['meanwhile', 'then', 'when mended'] as const;
type Coming = (typeof COMING)[number];

describe('a job that is moved runs once and ends once', () => {
  it.each(['then', 'when mended'] as const)(
    'wherever its movers die; workers come %s',
    async (come) => {
      // One after the other: so many that die at once keep Redis from answering anybody.
      for (const race of RACES) {
        const fates = Array.from({ length: COMMANDS_MAX + 1 }, (_, commands) => commands);
        await liveAll(
          fates.map((commands) => ({ fallback: 'any', race, movers: [commands] })),
          come,
        );
      }
    },
  );

  it('in whatever company', async () => {
    const fates = fc.array(fate, { minLength: 1, maxLength: 12 });
    await fc.assert(fc.asyncProperty(fates, fc.constantFrom(...COMING), liveAll), {
      numRuns: WORLDS,
    });
  });
});

it('is deleted without a trace when its mover has died behind the record', async () => {
  const { store, stores } = await world();
  const traces = await Promise.all(
    Array.from({ length: COMMANDS_MAX }, async (_, commands) => {
      const job = await submitted(store);
      await moveAndDie(job, { commands, stores });
      const isMoved = (await store.get(job.id))?.tier === 'precise';
      await store.delete(job.id);
      return isMoved ? [await tracesOf(stores.redis, job.id)] : [];
    }),
  );
  expect(traces.flat().length).toBeGreaterThan(1);
  expect(traces.flat(2)).toEqual([]);
});

async function liveAll(fates: readonly Fate[], workersCome: Coming): Promise<void> {
  const stores = createStores();
  const store = await stores.producer({ mendAfterMs: 0, passEveryMs: 0 });
  const jobs = await Promise.all(
    fates.map(({ fallback, race }) =>
      submitted(store, { fallback, ...(race === 'expire' ? { queueTimeoutMs: 20 } : {}) }),
    ),
  );
  const consuming = workersCome === 'meanwhile' ? consume(stores) : null;
  await Promise.all(
    jobs.map((job, at) => moveAmid({ job, fate: fates[at] as Fate, store, stores })),
  );
  if (workersCome === 'when mended') {
    for (let round = 0; round < 3; round += 1) await store.sweep();
    await expectConsistent(stores, store, jobs);
  }
  const runs = await (consuming ?? consume(stores));
  await untilOver(store, jobs);
  for (let round = 0; round < 2; round += 1) await store.sweep();
  for (const [at, job] of jobs.entries()) {
    await expectOneLife({ job, fate: fates[at] as Fate, runs: runs.get(job.id) ?? [], stores });
  }
  await waitUntil('nothing is left in any queue or ledger', async () => {
    await store.sweep();
    const left = await Promise.all(TIERS.map((tier) => leftIn(stores, tier)));
    return left.every((number) => number === 0);
  });
  await expectConsistent(stores, store, jobs);
  expect(stores.errors.filter((error) => !isSilence(error)).map(String), 'errors').toEqual([]);
}

/** Its movers, and what else happens, all at once. */
async function moveAmid({
  job,
  fate: { race, movers },
  store,
  stores,
}: {
  job: NewJob;
  fate: Fate;
  store: ProducerStore;
  stores: Stores;
}): Promise<void> {
  await Promise.all([
    ...movers.map((commands) =>
      commands === null ? move(store, placedByHand(job)) : moveAndDie(job, { commands, stores }),
    ),
    race === 'cancel' && sleep(Math.random() * 20).then(() => insist(() => store.cancel(job.id))),
    race === 'delete' && sleep(Math.random() * 20).then(() => insist(() => store.delete(job.id))),
  ]);
}

/**
 * Redis has not answered in time, as on a machine that is busy with tests: that is not what is tested.
 * A script that fails has the same code, and a cause.
 */
function isSilence(error: unknown): boolean {
  const { message, cause } = error as Error;
  if (message === 'Command timed out') return true;
  if (!(error instanceof QarrError) || error.code !== 'queue_unavailable') return false;
  return cause === undefined || isSilence(cause);
}

function unlessSilence(error: unknown): void {
  if (!isSilence(error)) throw error;
}

async function insist<Answer>(call: () => Promise<Answer>): Promise<void> {
  await waitUntil('Redis answers', () => call().then(() => true, unlessSilence));
}

function moveAndDie(
  job: NewJob,
  { commands, stores: { root } }: { commands: number; stores: Stores },
): Promise<void> {
  return actAndDie({
    redisUrl: inject('redisUrl'),
    open: (redisUrl) =>
      createProducerStore({
        root,
        redisUrl,
        tiers: [...TIERS],
        replicaId: randomUUID(),
        onError: () => {},
      }),
    commands,
    act: (mover) => move(mover, placedByHand(job)),
  });
}

async function expectOneLife({
  job,
  fate: { fallback, race },
  runs,
  stores,
}: {
  job: NewJob;
  fate: Fate;
  runs: readonly string[];
  stores: Stores;
}): Promise<void> {
  expect(runs.length).toBeLessThanOrEqual(1);
  const events = await readLog({ ...stores, jobId: job.id });
  if (race === 'delete') {
    expect(events, 'left of what was deleted').toEqual([]);
    return;
  }
  checkLog(events);
  const [hop, ...more] = events.filter(({ type }) => type === 'rerouted');
  expect(more, 'hops beyond the first').toEqual([]);
  if (fallback === 'none') expect(hop).toBeUndefined();
  const last = events.at(-1)?.type;
  if (race === 'nothing') expect(last).toBe('completed');
  const started = events.flatMap((event) => (event.type === 'started' ? [event.tier] : []));
  expect(started).toEqual(runs);
  if (last !== 'completed') return;
  expect(runs).toEqual([hop === undefined ? 'fast' : 'precise']);
  expect(textOf(events)).toBe('once');
}

/** Queues and ledgers hold what the records of these jobs ask for, and count it right. */
async function expectConsistent(
  { redis, root }: Stores,
  store: ProducerStore,
  jobs: readonly NewJob[],
  tiers: readonly string[] = TIERS,
): Promise<void> {
  const records = await Promise.all(jobs.map(({ id }) => store.get(id)));
  const open = records.filter((record) => record !== null && !isTerminalState(record.state));
  for (const tier of tiers) {
    const here = open.filter((record) => record?.tier === tier) as JobRecord[];
    const entries = await redis.zrange(`{${root}:${tier}}:prioritized`, '0', '-1');
    const names = here.map(({ id, epoch }) => (epoch === 1 ? id : `${id}-${epoch}`));
    expect(entries.toSorted()).toEqual(names.toSorted());
    const ids = here.map(({ id }) => id).toSorted();
    const ledger = await redis.hgetall(`{${root}:${tier}}:ledger`);
    expect(Object.keys(ledger).toSorted()).toEqual(ids);
    const order = await redis.zrange(`{${root}:${tier}}:ledger-order`, '0', '-1');
    expect(order.toSorted()).toEqual(ids);
    const { load } = await store.status(tier);
    const fallbackJobs = here.filter(({ rerouted }) => rerouted !== null).length;
    const standard = { jobs: here.length, tokens: here.length };
    expect(load).toMatchObject({ waiting: { standard }, fallbackJobs });
    expect(load.running.standard).toEqual({ jobs: 0, tokens: 0 });
  }
}

async function leftIn({ redis, root }: Stores, tier: string): Promise<number> {
  const counts = await Promise.all([
    redis.zcard(`{${root}:${tier}}:prioritized`),
    redis.llen(`{${root}:${tier}}:active`),
    redis.hlen(`{${root}:${tier}}:ledger`),
  ]);
  return counts.reduce((total, number) => total + number, 0);
}

const THREE = { tiers: ['fast', 'balanced', 'precise'] };

async function world(options: Parameters<Stores['producer']>[0] = {}) {
  const stores = createStores();
  const [store, worker] = await Promise.all([stores.producer(options), stores.worker()]);
  return { stores, store, worker };
}
type World = Awaited<ReturnType<typeof world>>;

async function submitted(store: ProducerStore, fields: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob(fields);
  await store.submit(job, ANYWHERE);
  return job;
}

function move(store: ProducerStore, job: PlacedJob) {
  return store.move(job, { ...TO_PRECISE, limits: LIMITS });
}

async function waiting(store: ProducerStore): Promise<readonly PlacedJob[]> {
  return (await store.waitingIn('fast', { from: 0, count: 100 })).jobs;
}

async function placed(store: ProducerStore, { id }: NewJob): Promise<PlacedJob> {
  const found = (await waiting(store)).find(({ jobId }) => jobId === id);
  if (found === undefined) throw new Error('It does not wait');
  return found;
}

/** What somebody believes who has looked some time ago. */
function placedByHand({ id, owner, tier, class: jobClass }: NewJob): PlacedJob {
  return {
    jobId: id,
    owner,
    tier,
    epoch: 1,
    attempt: 0,
    requestId: null,
    traceparent: null,
    class: jobClass,
    fallback: 'any',
    fits: [...TIERS],
    tokens: 1,
    leftMs: 60_000,
    jobsAhead: 0,
  };
}

/** Workers of both tiers that answer what they get. Tells by job in which tiers it was run. */
async function consume(stores: Stores): Promise<ReadonlyMap<string, readonly string[]>> {
  const runs = new Map<string, string[]>();
  for (const tier of TIERS) {
    const worker = await stores.worker(tier);
    worker.consume({
      queue: 'foreground',
      concurrency: 2,
      paused: false,
      async deliver(entry, { token }) {
        const claimed = await worker.claim(entry, { worker: `w-${tier}`, token });
        if (claimed.kind !== 'run') return { kind: 'done' };
        runs.set(entry.jobId, [...(runs.get(entry.jobId) ?? []), tier]);
        await answer(claimed.openLog(() => {}));
        return { kind: 'done' };
      },
    });
  }
  return runs;
}

type Log = Awaited<ReturnType<typeof claim>>;

async function answer(log: Log): Promise<void> {
  log.append({ text: 'once' });
  const outcome = await log.finish({
    event: { type: 'completed', finish_reason: 'stop', usage: null, timings: TIMINGS },
    result: { text: 'once', finish_reason: 'stop' },
  });
  if (outcome !== 'cancel') return;
  await log.finish({
    event: { type: 'cancelled', ran: true, tokens: null, usage: null, timings: TIMINGS },
  });
}

async function claim(worker: WorkerStore, job: NewJob) {
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  const claimed = await worker.claim(entry, { worker: 'w', token: randomUUID() });
  if (claimed.kind !== 'run') throw new Error('It was dropped');
  return claimed.openLog(() => {});
}

async function handBack(worker: WorkerStore, job: NewJob, text = ''): Promise<void> {
  const log = await claim(worker, job);
  if (text !== '') log.append({ text });
  await log.requeue({ burns: 'nothing' });
}

async function untilOver(store: ProducerStore, jobs: readonly NewJob[]): Promise<void> {
  await waitUntil('all are over', async () => {
    await store.sweep();
    const records = await Promise.all(jobs.map(({ id }) => store.get(id)));
    return records.every((record) => record === null || isTerminalState(record.state));
  });
}
