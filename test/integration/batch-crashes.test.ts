/**
 * Runners, APIs and workers that die between any two of their commands, and Redis that is killed: in the
 * end each line of each batch has one durable outcome, and nothing else is left.
 */
import { randomUUID } from 'node:crypto';
import { createProducerStore, createWorkerStore } from '@qarr/job-store';
import type { ProducerStore, WorkerStore } from '@qarr/job-store';
import { isBatchOver, lineJobId } from '@qarr/router-core';
import type { NewBatch } from '@qarr/router-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  commitOf,
  feed,
  linesOf,
  newBatch,
  runLine,
  takeLease,
  untilEnded,
} from '../harness/batches.ts';
import { actAndDie } from '../harness/crash-point.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { startRedisCluster } from '../harness/redis-cluster.ts';
import type { RedisCluster } from '../harness/redis-cluster.ts';
import { createStores } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const LINES = 3;
/** More of them would be too slow for their own patience with Redis. */
const AT_ONCE = 8;
const STEPS_BETWEEN_KILLS = 33;
const FILES = { outputFileId: 'file-out', errorFileId: null };
/** Of each life, a number of commands that is enough for it, beside those of a process that starts. */
const LIVES = {
  create: 13,
  open: 13,
  validate: 6,
  submit: 17,
  run: 24,
  'delete queued': 26,
  'delete ended': 26,
  commit: 6,
  forget: 9,
  finish: 13,
  cancel: 6,
} as const;
type Life = keyof typeof LIVES;

let cluster: RedisCluster;

/** On a cluster the steps of a submission, a claim and an end are commands of their own. */
beforeAll(async () => void (cluster = await startRedisCluster({ masterCount: 1 })));
afterAll(() => cluster.stop());

interface World {
  readonly stores: Stores;
  readonly store: ProducerStore;
  readonly worker: WorkerStore;
  /** What lies in the file store: lines by the name of their segment. */
  readonly written: Map<string, readonly number[]>;
}

async function openWorld(stores: Stores): Promise<World> {
  const [store, worker] = await Promise.all([
    stores.producer({ mendAfterMs: 0, passEveryMs: 0 }),
    stores.worker(),
  ]);
  return { stores, store, worker, written: new Map() };
}

it('give each line one outcome, wherever a process dies', async () => {
  const world = await openWorld(createStores({ redisUrl: cluster.url }));
  const fates = (Object.keys(LIVES) as Life[]).flatMap((life) =>
    Array.from({ length: LIVES[life] + 1 }, (_, commands) => ({ life, commands })),
  );
  const { epoch } = await takeLease(world.store.batchRuns, 'first');
  const batches = await someAtOnce(fates, (fate) => liveAndDie(world, { ...fate, epoch }));
  await world.store.batchRuns.release('first');
  // Whoever comes next finds what is left as a sweep leaves it.
  await world.store.sweep();
  await someAtOnce(batches, (batch) => untilOver(world, batch));
  await expectAllDone(world, batches);
  expect(world.stores.errors).toEqual([]);
}, 30_000);

it('give each line one outcome, though Redis is killed again and again', async () => {
  const own = await createOwnRedis();
  const world = await openWorld(createStores({ redisUrl: own.url }));
  const batches = Array.from({ length: 20 }, () => newBatch());
  for (const batch of batches) await world.store.batches.create(batch, { openMax: 1_000 });
  let restarting: Promise<void> | null = null;
  let [steps, kills] = [0, 0];
  function step(): void {
    if (restarting !== null) return;
    steps += 1;
    if (steps % STEPS_BETWEEN_KILLS !== 0) return;
    kills += 1;
    restarting = own.restart().finally(() => (restarting = null));
  }
  await Promise.all(batches.map((batch) => untilOver(world, batch, step)));
  await waitUntil('Redis is not being started', () => restarting === null);
  expect(kills).toBeGreaterThan(1);
  await waitUntil('Redis is there', () =>
    world.store.sweep().then(
      () => true,
      () => false,
    ),
  );
  await expectAllDone(world, batches);
}, 60_000);

async function someAtOnce<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map(act))));
  }
  return results;
}

/** Leads a batch to where a process dies. */
async function liveAndDie(
  world: World,
  { life, commands, epoch }: { life: Life; commands: number; epoch: number },
): Promise<NewBatch> {
  const { store, worker, stores, written } = world;
  const runs = store.batchRuns;
  const batch = newBatch();
  const { id } = batch;
  const options = { root: stores.root, onError: () => {} };
  const dieAs = <Dying extends { stop(): Promise<void> }>(
    open: (redisUrl: string) => Promise<Dying>,
    act: (dying: Dying) => Promise<unknown>,
  ) => actAndDie({ redisUrl: cluster.url, open, commands, act });
  const die = (act: (dying: ProducerStore) => Promise<unknown>) =>
    dieAs(
      (redisUrl) =>
        createProducerStore({ ...options, redisUrl, tiers: ['fast'], replicaId: randomUUID() }),
      act,
    );
  const first = commitOf([0], { name: `first-${id}` });
  written.set(first.segment.name, first.lines);

  if (life === 'create') {
    await die((dying) => dying.batches.create(batch, { openMax: 1_000 }));
    return batch;
  }
  await store.batches.create(batch, { openMax: 1_000 });
  if (life !== 'open') await runs.open(id, epoch);
  const validate = (by: ProducerStore) =>
    by.batchRuns.validated(id, epoch, { total: LINES, model: null });
  if (life === 'open') await die((dying) => dying.batchRuns.open(id, epoch));
  if (life === 'validate') await die(validate);
  if (life === 'open' || life === 'validate') return batch;

  await validate(store);
  if (life === 'submit') await die((dying) => feed(dying, batch, 0));
  if (life === 'submit') return batch;
  await feed(store, batch, 0);
  if (life === 'run') {
    await dieAs(
      (redisUrl) => createWorkerStore({ ...options, redisUrl, tier: 'fast', onCancel: () => {} }),
      async (dying) => {
        await runLine(dying, batch, 0);
        // It is closed after its last event.
        await waitUntil('it is closed', async () => {
          const openSince = await stores.redis.zscore(`${stores.root}:open`, lineJobId(id, 0));
          return openSince === null;
        });
      },
    );
    return batch;
  }
  const remove = (dying: ProducerStore) => dying.delete(lineJobId(id, 0));
  if (life === 'delete queued') await die(remove);
  if (life === 'delete queued') return batch;
  await runLine(worker, batch, 0);
  await untilEnded(runs, batch, [0]);
  if (life === 'delete ended') await die(remove);
  if (life === 'cancel') await die((dying) => dying.batches.cancel(id));
  if (life === 'commit') await die((dying) => dying.batchRuns.commit(id, epoch, first));
  if (life !== 'forget' && life !== 'finish') return batch;
  const last = commitOf([1, 2], { name: `last-${id}`, failed: 2 });
  written.set(last.segment.name, last.lines);
  for (const commit of life === 'finish' ? [first, last] : [first]) {
    await runs.commit(id, epoch, commit);
  }
  if (life === 'forget') await die((dying) => dying.batchRuns.forget(id, [0]));
  if (life === 'forget') return batch;
  await runs.finalizing(id, epoch);
  await die((dying) => dying.batchRuns.finish(id, epoch, FILES));
  return batch;
}

/** A runner that gets no answer from Redis begins anew, as another process would. */
async function untilOver(world: World, batch: NewBatch, step = () => {}): Promise<void> {
  await waitUntil('it is over', async () => {
    try {
      await runToEnd(world, batch, step);
      return true;
    } catch (error) {
      if ((error as { code?: string }).code !== 'queue_unavailable') throw error;
      return false;
    }
  });
}

/** What a runner does, in short. */
async function runToEnd(world: World, batch: NewBatch, step = () => {}): Promise<void> {
  const { store, worker, written } = world;
  const { batches, batchRuns: runs } = store;
  for (;;) {
    step();
    const { epoch, validUntil } = await takeLease(runs, 'next');
    const opened = await runs.open(batch.id, epoch);
    if (opened === 'gone') return;
    if (opened === 'fenced') throw new Error('fenced');
    const { state, total } = opened.record;
    if (isBatchOver(state)) return;
    if (total === 0) await runs.validated(batch.id, epoch, { total: LINES, model: null });
    const isDone = new Set(linesOf(opened.done));
    const inSystem = new Set(await batches.linesInSystem(batch.id));
    const missing = [0, 1, 2].filter((line) => !isDone.has(line) && !inSystem.has(line));
    for (const line of state === 'cancelling' ? [] : missing) {
      step();
      await feed(store, batch, line, { writeBefore: validUntil });
    }
    for (const line of inSystem) {
      step();
      await runLine(worker, batch, line);
    }
    const ended = await runs.ended(batch.id, { limit: 100, except: new Set() });
    const lines = [...ended.map(({ line }) => line), ...(state === 'cancelling' ? missing : [])];
    if (lines.length > 0) {
      step();
      const commit = commitOf(lines);
      written.set(commit.segment.name, commit.lines);
      expect(await runs.commit(batch.id, epoch, commit)).toBe('ok');
      await runs.forget(batch.id, lines);
    }
    if (isDone.size === LINES) {
      step();
      expect(await runs.finalizing(batch.id, epoch)).toBe('ok');
      expect(await runs.finish(batch.id, epoch, FILES)).toBe('ok');
    }
  }
}

async function expectAllDone(world: World, batches: readonly NewBatch[]): Promise<void> {
  const { store, stores, written } = world;
  const { redis, root } = stores;
  const left: string[] = [];
  for (const { id } of batches) {
    const record = await store.batches.get(id);
    if (record === null) {
      // It was never written. Its entries are tidied up by who comes across them, when they are old.
      for (const index of ['batches', 'batches:{ann}:open']) {
        await redis.zadd(`${root}:${index}`, 'XX', 1, id);
      }
      expect(await store.batchRuns.open(id, Number.MAX_SAFE_INTEGER)).toBe('gone');
      continue;
    }
    left.push(`${root}:{${id}}:batch`, `${root}:{${id}}:segments`);
    expect(['completed', 'cancelled']).toContain(record.state);
    const segments = await store.batches.segments(id);
    const lines = segments.flatMap(({ name }) => written.get(name) ?? []);
    expect(lines.toSorted((one, other) => one - other)).toEqual([0, 1, 2]);
    const sum = (field: 'outputLines' | 'errorLines') =>
      segments.reduce((total, segment) => total + segment[field], 0);
    expect(record).toMatchObject({
      total: LINES,
      completed: sum('outputLines'),
      failed: sum('errorLines'),
    });
  }
  expect(await store.batchRuns.unfinished(100)).toEqual([]);
  expect(await store.batches.open('ann')).toEqual([]);
  await waitUntil('nothing is left of the jobs', async () => {
    await store.sweep();
    return (await redis.zcard(`${root}:open`)) === 0;
  });
  // Beside counters, and what BullMQ notes.
  const known =
    /:(batches:.*|batches-over|replicas|runner-lease|ledger-counts|meta|events|id|pc|marker|workers.*)$/;
  const names = await redis.keys(`*${root}*`);
  expect(names.filter((name) => !known.test(name)).toSorted()).toEqual(left.toSorted());
}
