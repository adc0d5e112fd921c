/**
 * Processes that die between any two of their commands, and several sweepers at once. In the end the
 * world is as if nobody had died: each job has what its state needs, and nothing else is there.
 */
import { randomUUID } from 'node:crypto';
import { createProducerStore, createWorkerStore } from '@qarr/job-store';
import type { AttemptLog, ProducerStore, WorkerStore } from '@qarr/job-store';
import type { JobRecord, JobState, NewJob } from '@qarr/router-core';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { actAndDie } from '../harness/crash-point.ts';
import { checkLog, readLog } from '../harness/job-log.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import type { RedisCluster } from '../harness/redis-cluster.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';

const WORLDS = 20;
const SWEEPERS = 4;
/** More than any of these lives sends. */
const COMMANDS_MAX = 16;
const LEDGER_KEYS = ['ledger', 'ledger-order', 'ledger-tags-standard'];
const BULLMQ_KEYS = ['events', 'id', 'meta', 'pc', 'prioritized', 'marker'];

const LIVES = [
  'submit',
  'cancel queued',
  'cancel running',
  'cancel handed back',
  'finish',
  'delete queued',
  'delete running',
  'delete completed',
  'expire',
] as const;
type Life = (typeof LIVES)[number];

interface Fate {
  readonly life: Life;
  /** Commands that are carried out before the process dies. */
  readonly commands: number;
}

const fate: fc.Arbitrary<Fate> = fc.record({
  life: fc.constantFrom(...LIVES),
  commands: fc.nat(COMMANDS_MAX),
});

let cluster: RedisCluster;

/** On a cluster the steps of a submission, a claim and an end are commands of their own. */
beforeAll(async () => void (cluster = await startRedisCluster({ masterCount: 1 })));
afterAll(() => cluster.stop());

it('leave nothing half-done, wherever they die', async () => {
  const everyCommand = Array.from({ length: COMMANDS_MAX + 1 }, (_, commands) => commands);
  const fates = LIVES.flatMap((life) => everyCommand.map((commands) => ({ life, commands })));
  await mendAll(fates, cluster.url);
});

it('leave nothing half-done, in whatever company', async () => {
  const fates = fc.array(fate, { minLength: 1, maxLength: 16 });
  await fc.assert(
    fc.asyncProperty(fates, fc.boolean(), (some, inCluster) =>
      mendAll(some, inCluster ? cluster.url : inject('redisUrl')),
    ),
    { numRuns: WORLDS },
  );
});

async function mendAll(fates: readonly Fate[], redisUrl: string): Promise<void> {
  const stores = createStores({ redisUrl });
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  const jobs = await Promise.all(
    fates.map(async (one) => {
      const job = newJob(one.life === 'expire' ? { queueTimeoutMs: 1 } : {});
      await live({ job, fate: one, healthy: { store, worker }, stores, redisUrl });
      return job;
    }),
  );
  const sweepers = await Promise.all(
    Array.from({ length: SWEEPERS }, () => stores.producer({ mendAfterMs: 0, passEveryMs: 0 })),
  );
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(sweepers.map((sweeper) => sweeper.sweep()));
  }
  await expectConsistent({ stores, store, jobs });
  expect(stores.errors).toEqual([]);
}

/** Leads a job to where its fate begins, with processes that live, and then lets one die. */
async function live({
  job,
  fate: { life, commands },
  healthy,
  stores: { root },
  redisUrl,
}: {
  job: NewJob;
  fate: Fate;
  healthy: { store: ProducerStore; worker: WorkerStore };
  stores: Stores;
  redisUrl: string;
}): Promise<void> {
  const options = { root, onError: () => {} };
  const dyingStore = (url: string) =>
    createProducerStore({ ...options, redisUrl: url, tiers: ['fast'], replicaId: randomUUID() });
  if (life === 'submit' || life === 'expire') {
    return actAndDie({
      redisUrl,
      open: dyingStore,
      commands,
      act: (store) => store.submit(job, ANYWHERE),
    });
  }
  await healthy.store.submit(job, ANYWHERE);
  if (life === 'finish') {
    return actAndDie({
      redisUrl,
      open: (url) =>
        createWorkerStore({ ...options, redisUrl: url, tier: 'fast', onCancel: () => {} }),
      commands,
      act: async (worker) => complete(await claim(worker, job)),
    });
  }
  if (!life.endsWith('queued')) {
    const log = await claim(healthy.worker, job);
    if (life === 'cancel handed back') await log.requeue({ burns: 'nothing' });
    if (life === 'delete completed') await complete(log);
  }
  return actAndDie({
    redisUrl,
    open: dyingStore,
    commands,
    act: (store) => (life.startsWith('cancel') ? store.cancel(job.id) : store.delete(job.id)),
  });
}

async function claim(worker: WorkerStore, job: NewJob): Promise<AttemptLog> {
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  const claimed = await worker.claim(entry, { worker: 'w', token: randomUUID() });
  if (claimed.kind !== 'run') throw new Error('dropped');
  return claimed.openLog(() => {});
}

async function complete(log: AttemptLog): Promise<void> {
  const timings = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };
  await log.finish({
    event: { type: 'completed', finish_reason: 'stop', usage: null, timings },
    result: { text: '', finish_reason: 'stop' },
  });
}

async function expectConsistent({
  stores,
  store,
  jobs,
}: {
  stores: Stores;
  store: ProducerStore;
  jobs: readonly NewJob[];
}): Promise<void> {
  const { redis, root } = stores;
  const standing = await Promise.all(
    jobs.map(async ({ id }) => ({ id, record: await store.get(id) })),
  );
  const open = standing.filter(({ record }) => record !== null && !isOver(record.state));
  const idsOf = (some: typeof standing) => some.map(({ id }) => id).toSorted();
  const inState = (state: JobState) =>
    idsOf(standing.filter(({ record }) => record?.state === state));
  const members = async (key: string) => (await redis.zrange(key, '0', '-1')).toSorted();

  expect(await members(`{${root}:fast}:prioritized`)).toEqual(idsOf(open));
  await checkLedger({ stores, open: open.map(({ record }) => record) });
  expect(await members(`${root}:open`)).toEqual(idsOf(open));
  expect(await members(`${root}:deadlines`)).toEqual(idsOf(open));
  expect(await members(`${root}:jobs:anonymous:open`)).toEqual(idsOf(open));
  expect(await members(`${root}:started`)).toEqual(
    idsOf(open.filter(({ record }) => Number(record?.attempt) > 0)),
  );
  const kept: string[] = [];
  for (const state of ['completed', 'failed', 'cancelled', 'expired'] as const) {
    expect(await members(`${root}:jobs:anonymous:${state}`)).toEqual(inState(state));
    kept.push(...inState(state).map((id) => `${state} ${id} anonymous`));
  }
  expect(await members(`${root}:kept`)).toEqual(kept.toSorted());

  const there = standing.filter(({ record }) => record !== null);
  for (const { id } of there) checkLog(await readLog({ ...stores, jobId: id }));
  const expected = new Set([
    ...there.flatMap(({ id }) => [`${root}:{${id}}:job`, `${root}:{${id}}:log`]),
    ...open.map(({ id }) => `{${root}:fast}:${id}`),
    ...BULLMQ_KEYS.map((name) => `{${root}:fast}:${name}`),
    ...BULLMQ_KEYS.map((name) => `{${root}:precise}:${name}`),
    `{${root}:fast}_batch:meta`,
    `{${root}:precise}_batch:meta`,
    `{${root}:fast}:ledger-counts`,
    ...(open.length === 0 ? [] : LEDGER_KEYS.map((name) => `{${root}:fast}:${name}`)),
    `{${root}:_webhooks}:meta`,
    ...['open', 'deadlines', 'started', 'kept', 'replicas'].map((name) => `${root}:${name}`),
    ...['open', 'completed', 'failed', 'cancelled', 'expired'].map(
      (list) => `${root}:jobs:anonymous:${list}`,
    ),
  ]);
  const names = await redis.keys(`*${root}*`);
  expect(names.filter((name) => !expected.has(name))).toEqual([]);
}

/** It has an entry for each open job, and counts what a count of them gives. */
async function checkLedger({
  stores: { redis, root },
  open,
}: {
  stores: Stores;
  open: readonly (JobRecord | null)[];
}): Promise<void> {
  const entries = await redis.hgetall(`{${root}:fast}:ledger`);
  const states = Object.entries(entries).map(([id, entry]) => `${id} ${entry.slice(0, 1)}`);
  const expected = open.map((record) => `${record?.id} ${record?.state === 'queued' ? 'w' : 'r'}`);
  expect(states.toSorted()).toEqual(expected.toSorted());
  const counts = await redis.hgetall(`{${root}:fast}:ledger-counts`);
  for (const state of ['w', 'r']) {
    const jobs = states.filter((text) => text.endsWith(` ${state}`)).length;
    expect(Number(counts[`${state}:standard:jobs`] ?? 0)).toBe(jobs);
  }
}

function isOver(state: JobState): boolean {
  return state !== 'queued' && state !== 'running';
}
