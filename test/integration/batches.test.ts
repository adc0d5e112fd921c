/** Batches in Redis: how one is made, found and run to its end, and what becomes of its lines. */
import { randomUUID } from 'node:crypto';
import { BATCH_TRANSITIONS, batchStateSchema, lineJobId } from '@qarr/router-core';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import {
  commitOf,
  feed,
  lineJob,
  newBatch,
  runLine,
  takeLease,
  untilEnded,
} from '../harness/batches.ts';
import { actAndDie } from '../harness/crash-point.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { ANYWHERE, createStores } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const FILES = { outputFileId: 'file-out', errorFileId: null };
const NO_FILES = { outputFileId: null, errorFileId: null };
const WRONG = { code: 'invalid_json', message: 'No JSON.', param: null, line: 3 };

async function world(options: { createWithinMs?: number } = {}, redisUrl = inject('redisUrl')) {
  const stores = createStores({ redisUrl });
  const [store, worker] = await Promise.all([stores.producer(options), stores.worker()]);
  const { batches, batchRuns: runs } = store;
  return {
    stores,
    store,
    worker,
    batches,
    runs,
    /** One that is opened and validated, and the epoch that may write for it. */
    async started(total = 3, fields: Parameters<typeof newBatch>[0] = {}) {
      const batch = newBatch(fields);
      await batches.create(batch, { openMax: 1_000 });
      const { epoch } = await takeLease(runs, 'runner');
      await runs.open(batch.id, epoch);
      expect(await runs.validated(batch.id, epoch, { total, model: 'm' })).toBe('ok');
      return { batch, epoch };
    },
    expectNoErrors: () => expect(stores.errors).toEqual([]),
  };
}

describe('a batch', () => {
  it('runs to its end, line by line', async () => {
    const { batches, runs, store, worker, started, expectNoErrors } = await world();
    const { batch, epoch } = await started(2);
    for (const line of [0, 1]) await feed(store, batch, line);
    expect(await batches.linesInSystem(batch.id)).toEqual([0, 1]);
    await runLine(worker, batch, 1);
    const job = { state: 'completed', result: { text: 'Hi' }, batch: { customId: 'line-1' } };
    expect(await untilEnded(runs, batch, [1])).toMatchObject([{ line: 1, job }]);
    expect(await runs.ended(batch.id, { limit: 9, except: new Set([1]) })).toEqual([]);
    // Only what is committed is forgotten.
    await runs.forget(batch.id, [0, 1]);
    expect(await untilEnded(runs, batch, [1])).toMatchObject([{ job }]);
    const first = commitOf([1]);
    expect(await runs.commit(batch.id, epoch, first)).toBe('ok');
    expect(await runs.finalizing(batch.id, epoch)).toBe('conflict');
    expect(await runs.finish(batch.id, epoch, NO_FILES)).toBe('conflict');
    await runs.forget(batch.id, [0, 1]);
    expect(await store.get(lineJobId(batch.id, 0))).not.toBeNull();
    expect(await store.get(lineJobId(batch.id, 1))).toBeNull();
    await runLine(worker, batch, 0);
    await untilEnded(runs, batch, [0]);
    const last = commitOf([0], { failed: 1 });
    expect(await runs.commit(batch.id, epoch, last)).toBe('ok');
    expect(await runs.commit(batch.id, epoch, last)).toBe('ok');
    expect(await runs.finalizing(batch.id, epoch)).toBe('ok');
    for (let time = 0; time < 2; time += 1) {
      expect(await runs.finish(batch.id, epoch, FILES)).toBe('ok');
    }
    expect(await batches.get(batch.id)).toMatchObject({
      state: 'completed',
      model: 'm',
      total: 2,
      completed: 1,
      failed: 1,
      usage: { promptTokens: 3, cachedTokens: 1, completionTokens: 2, reasoningTokens: 1 },
      outputFileId: 'file-out',
      errorFileId: null,
      errors: [],
      inProgressAt: expect.any(Number),
      finalizingAt: expect.any(Number),
      completedAt: expect.any(Number),
      expiredAt: null,
    });
    expect(await batches.segments(batch.id)).toEqual([first.segment, last.segment]);
    expectNoErrors();
  });

  it('is opened with all that the runner before has made durable', async () => {
    const { runs, started } = await world();
    const { batch, epoch } = await started(17);
    const commits = [commitOf([16, 1]), commitOf([0])];
    for (const commit of commits) await runs.commit(batch.id, epoch, commit);
    await runs.release('runner');
    const next = await takeLease(runs, 'next');
    expect(next.epoch).toBeGreaterThan(epoch);
    expect(await runs.open(batch.id, next.epoch)).toMatchObject({
      record: { state: 'in_progress', completed: 3 },
      isExpiring: false,
      done: new Uint8Array([0b1100_0000, 0, 0b1000_0000]),
      segments: commits.map(({ segment }) => segment),
    });
  });

  it('is rid of the jobs that a runner had committed and not forgotten', async () => {
    const { runs, store, worker, started } = await world();
    const { batch, epoch } = await started(2);
    for (const line of [0, 1]) await feed(store, batch, line);
    await runLine(worker, batch, 0);
    await untilEnded(runs, batch, [0]);
    await runs.commit(batch.id, epoch, commitOf([0]));
    await runs.open(batch.id, epoch);
    expect(await store.get(lineJobId(batch.id, 0))).toBeNull();
    expect(await store.get(lineJobId(batch.id, 1))).not.toBeNull();
  });

  it('takes no write of a runner after a later one has opened it', async () => {
    const { runs, batches, started } = await world();
    const { batch, epoch: old } = await started(1);
    await runs.release('runner');
    const { epoch } = await takeLease(runs, 'next');
    // It has not seen this batch yet.
    expect(await runs.expire(batch.id, epoch)).toBe('fenced');
    await runs.open(batch.id, epoch);
    const before = await batches.get(batch.id);
    expect(await runs.open(batch.id, old)).toBe('fenced');
    expect(await runs.validated(batch.id, old, { errors: [WRONG] })).toBe('fenced');
    expect(await runs.expire(batch.id, old)).toBe('fenced');
    expect(await runs.commit(batch.id, old, commitOf([0]))).toBe('fenced');
    await runs.commit(batch.id, epoch, commitOf([0]));
    expect(await runs.finalizing(batch.id, old)).toBe('fenced');
    await runs.finalizing(batch.id, epoch);
    expect(await runs.finish(batch.id, old, NO_FILES)).toBe('fenced');
    expect(await batches.get(batch.id)).toMatchObject({
      ...before,
      state: 'finalizing',
      completed: 1,
      usage: {},
      finalizingAt: expect.any(Number),
    });
    for (const write of [runs.open(newBatch().id, epoch), runs.expire(newBatch().id, epoch)]) {
      expect(await write).toBe('gone');
    }
  });

  it.each([
    ['a line twice', [1, 1], 0],
    ['a line that has an outcome', [1, 0], 0],
    ['a line that is none of it', [1, 3], 0],
    ['nothing', [], 0],
    ['fewer lines than its segment', [1], -1],
  ])('commits nothing that has %s', async (_name, lines, surplus) => {
    const { runs, batches, started } = await world();
    const { batch, epoch } = await started(3);
    await runs.commit(batch.id, epoch, commitOf([0]));
    const before = await batches.get(batch.id);
    const commit = commitOf(lines);
    const segment = { ...commit.segment, outputLines: commit.segment.outputLines - surplus };
    expect(await runs.commit(batch.id, epoch, { ...commit, segment })).toBe('conflict');
    expect(await batches.get(batch.id)).toEqual(before);
    expect(await batches.segments(batch.id)).toHaveLength(1);
  });

  it('leaves nothing but its record and its segments, for as long as its files are kept', async () => {
    const { stores, runs, batches, store, worker, started } = await world();
    const { batch, epoch } = await started(2, {
      outputKeptMs: 50_000,
      webhookUrl: 'https://a.b/c',
    });
    await feed(store, batch, 0);
    await runLine(worker, batch, 0);
    await untilEnded(runs, batch, [0]);
    await runs.commit(batch.id, epoch, commitOf([0, 1]));
    await runs.finalizing(batch.id, epoch);
    for (let time = 0; time < 2; time += 1) await runs.finish(batch.id, epoch, FILES);
    await runs.open(batch.id, epoch);
    const { redis, root } = stores;
    const own = await redis.keys(`${root}:{${batch.id}}:*`);
    expect(own.toSorted()).toEqual(['batch', 'segments'].map((n) => `${root}:{${batch.id}}:${n}`));
    for (const name of own) {
      const left = await redis.pttl(name);
      expect(left).toBeGreaterThan(40_000);
      expect(left).toBeLessThanOrEqual(50_000);
    }
    expect(await store.get(lineJobId(batch.id, 0))).toBeNull();
    expect(await runs.unfinished(10)).toEqual([]);
    expect(await batches.open('ann')).toEqual([]);
    expect(await store.webhookBacklog()).toBe(1);
    expect(await runs.commit(batch.id, epoch, commitOf([1]))).toBe('conflict');
  });
});

describe('the states of a batch', () => {
  it('follow each other as the table says, and in no other way', async () => {
    const { runs, batches } = await world();
    const { epoch } = await takeLease(runs, 'runner');
    const steps = {
      validated: (id) => runs.validated(id, epoch, { total: 1, model: null }),
      refused: (id) => runs.validated(id, epoch, { errors: [WRONG] }),
      cancel: (id) => batches.cancel(id),
      expire: (id) => runs.expire(id, epoch),
      commit: (id) => runs.commit(id, epoch, commitOf([0])),
      finalizing: (id) => runs.finalizing(id, epoch),
      finish: (id) => runs.finish(id, epoch, NO_FILES),
      lost: (id) => runs.finish(id, epoch, { ...NO_FILES, errors: [WRONG] }),
    } satisfies Record<string, (id: string) => Promise<unknown>>;
    const names = Object.keys(steps) as (keyof typeof steps)[];
    const seen = new Set<string>();
    const lookAt = async (id: string) => {
      const opened = await runs.open(id, epoch);
      if (typeof opened === 'string') throw new Error(opened);
      const { record, isExpiring } = opened;
      return {
        state: record.state,
        is: [record.state, record.total, record.completed, isExpiring],
      };
    };
    // From wherever a batch can be, each step, repeated once, as by whoever lost an answer.
    const known = new Set<string>();
    const ways: (keyof typeof steps)[][] = [[]];
    for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
      const { id } = newBatch();
      await batches.create(newBatch({ id }), { openMax: 100_000 });
      for (const [at, name] of way.entries()) {
        for (let time = 0; time < 2; time += 1) {
          const { state: before } = await lookAt(id);
          await steps[name](id);
          const { state: after } = await lookAt(id);
          if (after !== before) seen.add(`${before} ${after}`);
          // A step that is sent again changes nothing more.
          if (time === 1 && at === way.length - 1) expect(after).toBe(before);
        }
      }
      const where = JSON.stringify((await lookAt(id)).is);
      if (known.has(where)) continue;
      known.add(where);
      ways.push(...names.map((name) => [...way, name]));
    }
    const table = batchStateSchema.options.flatMap((from) =>
      BATCH_TRANSITIONS[from].map((to) => `${from} ${to}`),
    );
    expect([...seen].toSorted()).toEqual(table.toSorted());
  });

  it('end as expired only where its time was up before its last outcome', async () => {
    const { runs, batches, started } = await world();
    for (const [isLate, state] of [
      [false, 'expired'],
      [true, 'completed'],
    ] as const) {
      const { batch, epoch } = await started(1);
      if (!isLate) await runs.expire(batch.id, epoch);
      await runs.commit(batch.id, epoch, commitOf([0], { failed: 1 }));
      if (isLate) await runs.expire(batch.id, epoch);
      expect(await runs.open(batch.id, epoch)).toMatchObject({ isExpiring: !isLate });
      await runs.finalizing(batch.id, epoch);
      await runs.finish(batch.id, epoch, NO_FILES);
      expect(await batches.get(batch.id)).toMatchObject({ state, total: 1, failed: 1 });
    }
  });

  it('end as failed where outcomes were lost, and say so', async () => {
    const { runs, batches, started } = await world();
    const { batch, epoch } = await started(1);
    await runs.commit(batch.id, epoch, commitOf([0]));
    await runs.finalizing(batch.id, epoch);
    await runs.finish(batch.id, epoch, { ...FILES, errors: [WRONG] });
    const end = { state: 'failed', completed: 1, errors: [WRONG], ...FILES };
    expect(await batches.get(batch.id)).toMatchObject(end);
    // What it was made of is still to be removed, after a while.
    const longAgo = { overForMs: 60_000, limit: 9 };
    const ever = { overForMs: 0, limit: 9 };
    expect(await runs.leftovers(longAgo)).toEqual([]);
    expect(await runs.leftovers(ever)).toEqual([batch.id]);
    await runs.cleared(batch.id);
    expect(await runs.leftovers(ever)).toEqual([]);
  });

  it('do not end before each line has its outcome, also where it is cancelled', async () => {
    const { runs, batches, started } = await world();
    const { batch, epoch } = await started(2);
    await runs.commit(batch.id, epoch, commitOf([1]));
    await batches.cancel(batch.id);
    expect(await runs.finalizing(batch.id, epoch)).toBe('conflict');
    expect(await runs.finish(batch.id, epoch, NO_FILES)).toBe('conflict');
    await runs.commit(batch.id, epoch, commitOf([0], { failed: 1 }));
    expect(await runs.finish(batch.id, epoch, FILES)).toBe('ok');
    const ended = {
      state: 'cancelled',
      total: 2,
      completed: 1,
      failed: 1,
      outputFileId: 'file-out',
    };
    expect(await batches.get(batch.id)).toMatchObject(ended);
  });

  it('say what is wrong with its file', async () => {
    const { runs, batches } = await world();
    const batch = newBatch();
    await batches.create(batch, { openMax: 1 });
    const { epoch } = await takeLease(runs);
    await runs.open(batch.id, epoch);
    await runs.validated(batch.id, epoch, { errors: [WRONG] });
    expect(await batches.get(batch.id)).toMatchObject({
      state: 'failed',
      errors: [WRONG],
      total: 0,
    });
    expect(await runs.unfinished(10)).toEqual([]);
    expect(await runs.validated(batch.id, epoch, { total: 1, model: null })).toBe('conflict');
  });
});

describe('the lease', () => {
  it('is of one runner at a time, whose epoch lasts as long as it renews it', async () => {
    const { stores, runs } = await world();
    const first = await takeLease(runs, 'a');
    expect(first.validUntil - first.now).toBe(10_000);
    expect(await runs.lease('b')).toBeNull();
    await runs.release('b');
    expect(await runs.lease('b')).toBeNull();
    expect((await takeLease(runs, 'a')).epoch).toBe(first.epoch);
    const name = `${stores.root}:runner-lease`;
    await stores.redis.hset(name, 'until', first.now);
    const second = await takeLease(runs, 'b');
    expect(second.epoch).toBeGreaterThan(first.epoch);
    expect(await runs.lease('a')).toBeNull();
    // Also of one that has let it run out: somebody may have had it meanwhile.
    await stores.redis.hset(name, 'until', first.now);
    expect((await takeLease(runs, 'b')).epoch).toBeGreaterThan(second.epoch);
    // A Redis that has lost its last moments gives no epoch twice.
    const last = await takeLease(runs, 'b');
    await waitUntil('the clock goes on', async () => {
      await stores.redis.del(name);
      return (await takeLease(runs, 'c')).epoch > last.epoch;
    });
  });
});

describe('a new batch', () => {
  it('is made once, however often it is sent', async () => {
    const { batches, runs } = await world();
    const batch = newBatch({ metadata: { a: 'b' }, quota: { keyId: 'k', tokensPerDay: 5 } });
    const options = { openMax: 1, bodyHash: 'h' };
    const made = await Promise.all([1, 2, 3].map(() => batches.create(batch, options)));
    expect(made.map(({ kind }) => kind).toSorted()).toEqual(['created', 'known', 'known']);
    expect(await batches.create(batch, { ...options, bodyHash: 'other' })).toEqual({
      kind: 'key_reused',
    });
    const record = await batches.get(batch.id);
    expect(record).toMatchObject({ ...batch, state: 'validating', total: 0, usage: {} });
    expect(Number(record?.expiresAt) - Number(record?.createdAt)).toBe(batch.windowMs);
    expect(await batches.open('ann')).toEqual([record]);
    expect(await runs.unfinished(10)).toEqual([batch.id]);
    expect(await runs.unfinished(10, 1)).toEqual([]);
    const [urgency, unknown] = await runs.urgencies([batch.id, 'batch_unknown']);
    expect([urgency, unknown]).toMatchObject([{ owner: 'ann', state: 'validating' }, null]);
  });

  it('is refused where its owner has too many that are not over', async () => {
    const { stores, batches, runs } = await world();
    const made = await Promise.all(
      Array.from({ length: 20 }, () => batches.create(newBatch(), { openMax: 3 })),
    );
    expect(made.filter(({ kind }) => kind === 'created')).toHaveLength(3);
    expect(made.filter(({ kind }) => kind === 'too_many')).toHaveLength(17);
    expect(await batches.create(newBatch({ owner: 'bob' }), { openMax: 3 })).toMatchObject({
      kind: 'created',
    });
    const { epoch } = await takeLease(runs);
    const [first] = await batches.open('ann');
    await runs.open(first?.id ?? '', epoch);
    await runs.validated(first?.id ?? '', epoch, { errors: [WRONG] });
    // Where a process has died before it could say so, too.
    await stores.redis.zadd(`${stores.root}:batches:{ann}:open`, 1, first?.id ?? '');
    expect(await batches.create(newBatch(), { openMax: 3 })).toMatchObject({ kind: 'created' });
  });

  it('leaves nothing that counts, or is found by its runner, wherever its process dies', async () => {
    const { stores, batches, runs } = await world();
    const { redis, root } = stores;
    for (let commands = 0; commands < 7; commands += 1) {
      const owner = `owner-${commands}`;
      const batch = newBatch({ owner });
      await actAndDie({
        redisUrl: inject('redisUrl'),
        open: (redisUrl) => stores.producer({ redisUrl, onError: () => {} }),
        commands,
        act: (store) => store.batches.create(batch, { openMax: 1 }),
      });
      const isWritten = (await batches.get(batch.id)) !== null;
      const unfinished = await runs.unfinished(100);
      if (isWritten) expect(unfinished).toContain(batch.id);
      // So long after.
      for (const name of [`${root}:batches`, `${root}:batches:{${owner}}:open`]) {
        if (!isWritten) await redis.zadd(name, 'XX', 1, batch.id);
      }
      const { epoch } = await takeLease(runs, 'runner');
      expect(await runs.open(batch.id, epoch)).toEqual(isWritten ? expect.any(Object) : 'gone');
      expect((await runs.unfinished(100)).includes(batch.id)).toBe(isWritten);
      const next = await batches.create(newBatch({ owner }), { openMax: 1 });
      expect(next.kind).toBe(isWritten ? 'too_many' : 'created');
    }
  });

  it('is not written late, when its entries may have been tidied up', async () => {
    // As if what comes before the record had taken so much longer.
    const { batches, runs } = await world({ createWithinMs: -1 });
    const batch = newBatch();
    await expect(batches.create(batch, { openMax: 1 })).rejects.toThrow('may or may not exist');
    expect(await batches.get(batch.id)).toBeNull();
    const { epoch } = await takeLease(runs);
    // A new entry is left alone: its record may be about to be written.
    expect(await runs.open(batch.id, epoch)).toBe('gone');
    expect(await runs.unfinished(10)).toEqual([batch.id]);
  });

  it('is listed, newest first, a page at a time', async () => {
    const { stores, batches } = await world();
    const made = [0, 1, 2, 3, 4].map((at) => newBatch({ id: `batch_${at}` }));
    for (const batch of made) await batches.create(batch, { openMax: 9 });
    await batches.create(newBatch({ owner: 'bob' }), { openMax: 9 });
    await stores.redis.del(`${stores.root}:{batch_2}:batch`);
    const page = async (after: string | null) => {
      const { batches: found, hasMore } = await batches.list({ owner: 'ann', limit: 2, after });
      return [...found.map(({ id }) => id), hasMore];
    };
    expect(await page(null)).toEqual(['batch_4', 'batch_3', true]);
    expect(await page('batch_3')).toEqual(['batch_1', 'batch_0', false]);
    expect(await page('batch_0')).toEqual([false]);
    expect(await page('batch_9')).toEqual([false]);
  });
});

describe('the job of a line', () => {
  it('is in the lists of its batch, and in none of its owner', async () => {
    const { stores, store, worker, batches, runs, started } = await world();
    const { batch, epoch } = await started(3);
    for (const line of [0, 1, 2]) await feed(store, batch, line);
    await runLine(worker, batch, 1);
    await untilEnded(runs, batch, [1]);
    const page = { owner: 'ann', state: null, limit: 2, after: null };
    expect((await store.list(page)).jobs).toEqual([]);
    const first = await store.list({ ...page, batchId: batch.id });
    expect(first.jobs.map((job) => job.batch?.line)).toEqual([2, 1]);
    const rest = await store.list({ ...page, batchId: batch.id, after: first.next });
    expect(rest).toMatchObject({ jobs: [{ batch: { line: 0 } }], next: null });
    const queued = await store.list({ ...page, batchId: batch.id, state: 'queued' });
    expect(queued.jobs.map((job) => job.batch?.line)).toEqual([2, 0]);
    await runs.commit(batch.id, epoch, commitOf([1, 2]));
    expect(await batches.linesInSystem(batch.id)).toEqual([0]);
    expect(await stores.redis.keys(`${stores.root}:jobs:*`)).toEqual([]);
    expect(await stores.redis.exists(`${stores.root}:kept`)).toBe(0);
  });

  it('that is deleted is not written again before its line has an outcome', async () => {
    const { stores, store, worker, runs, batches, started } = await world();
    const { batch, epoch } = await started(2);
    await feed(store, batch, 0);
    await feed(store, batch, 1);
    await runLine(worker, batch, 1);
    await untilEnded(runs, batch, [1]);
    for (const line of [0, 1]) await store.delete(lineJobId(batch.id, line));
    const ended = await untilEnded(runs, batch, [0, 1]);
    expect(ended.map(({ job }) => job)).toEqual([null, null]);
    const { redis, root } = stores;
    expect(await redis.zcard(`${root}:open`)).toBe(0);
    expect(await redis.hlen(`{${root}:fast}:ledger`)).toBe(0);
    expect(await feed(store, batch, 0)).toMatchObject({ kind: 'refused' });
    expect(await batches.linesInSystem(batch.id)).toEqual([0, 1]);
    expect(await redis.hlen(`{${root}:fast}:ledger`)).toBe(0);
    await runs.commit(batch.id, epoch, commitOf([0, 1], { failed: 2 }));
    await runs.forget(batch.id, [0, 1]);
    expect(await redis.keys(`${root}:{job_*`)).toEqual([]);
    // Of a line that has its outcome, nothing needs to stay.
    await feed(store, batch, 0);
    expect(await batches.linesInSystem(batch.id)).toEqual([]);
    await store.delete(lineJobId(batch.id, 0));
    expect(await redis.keys(`${root}:{job_*`)).toEqual([]);
  });

  it('that somebody has followed stays for a moment, others go with their outcome', async () => {
    const { stores, store, worker, runs, started } = await world();
    const { batch, epoch } = await started(3);
    for (const line of [0, 1, 2]) await feed(store, batch, line);
    const followed = lineJobId(batch.id, 0);
    const following = store.follow(followed, { after: 0, signal: AbortSignal.timeout(10_000) });
    await following.next();
    for (const line of [0, 1]) await runLine(worker, batch, line);
    await untilEnded(runs, batch, [0, 1]);
    await runs.commit(batch.id, epoch, commitOf([0, 1, 2]));
    await runs.forget(batch.id, [0, 1, 2]);
    const { redis, root } = stores;
    for (const part of ['job', 'log']) {
      const left = await redis.pttl(`${root}:{${followed}}:${part}`);
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(60_000);
    }
    expect(await store.get(lineJobId(batch.id, 1))).toBeNull();
    // What has not ended goes soon after its end, and its line does not come back.
    expect(await store.get(lineJobId(batch.id, 2))).toMatchObject({ state: 'queued' });
    await store.cancel(lineJobId(batch.id, 2));
    expect(await redis.pttl(`${root}:{${lineJobId(batch.id, 2)}}:job`)).toBeLessThanOrEqual(60_000);
    expect(await runs.ended(batch.id, { limit: 9, except: new Set() })).toEqual([]);
  });

  it('is put back where it was, but not after its outcome, by a sweep', async () => {
    const { stores, worker, runs, started } = await world();
    const { redis, root } = stores;
    const store = await stores.producer({ mendAfterMs: 0, passEveryMs: 0 });
    const { batch, epoch } = await started(2);
    const [queued, done] = [lineJobId(batch.id, 0), lineJobId(batch.id, 1)];
    for (const line of [0, 1]) await feed(store, batch, line);
    const following = store.follow(done, { after: 0, signal: AbortSignal.timeout(10_000) });
    await following.next();
    await runLine(worker, batch, 1);
    await untilEnded(runs, batch, [1]);
    // What a crash may have left: in no list, or to be closed once more.
    const [open, ended] = ['open', 'ended'].map((part) => `${root}:{${batch.id}}:${part}`);
    await redis.del(String(open), String(ended));
    const closeAgain = async () => {
      await redis.zadd(`${root}:open`, 1, done, 2, queued);
      await store.sweep();
    };
    await closeAgain();
    expect(await redis.smembers(String(open))).toEqual(['0']);
    expect(await redis.smembers(String(ended))).toEqual(['1']);
    // So does a runner that feeds it again.
    await redis.del(String(open));
    for (const line of [0, 1]) await feed(store, batch, line);
    expect(await redis.smembers(String(open))).toEqual(['0']);
    expect(await redis.smembers(String(ended))).toEqual(['1']);
    await runs.commit(batch.id, epoch, commitOf([1]));
    await runs.forget(batch.id, [1]);
    await closeAgain();
    expect(await redis.smembers(String(ended))).toEqual([]);
    await runs.commit(batch.id, epoch, commitOf([0]));
    await runs.finalizing(batch.id, epoch);
    await runs.finish(batch.id, epoch, NO_FILES);
    await closeAgain();
    expect(await redis.exists(String(open), String(ended))).toBe(0);
    expect(await store.get(done)).toMatchObject({ state: 'completed' });
  });

  it('is found by the sweep, also where that has just forgotten an earlier try', async () => {
    const { stores, started } = await world();
    const { redis, root } = stores;
    const store = await stores.producer({ mendAfterMs: 0, passEveryMs: 0 });
    const proxy = await startTcpProxy({ targetPort: Number(new URL(inject('redisUrl')).port) });
    onTestFinished(() => proxy.stop());
    const far = await stores.producer({ redisUrl: `redis://127.0.0.1:${proxy.port}` });
    const { batch } = await started(1);
    const jobId = lineJobId(batch.id, 0);
    for (const index of ['open', 'deadlines']) await redis.zadd(`${root}:${index}`, 1, jobId);
    const monitor = await redis.monitor();
    onTestFinished(() => monitor.disconnect());
    const entered = new Promise<void>((resolve) => {
      monitor.on('monitor', (_time: string, [name, key, how]: string[]) => {
        if (name === 'zadd' && key === `${root}:open` && how === 'NX') resolve();
      });
    });
    // Long enough for a sweep between the entry and the record, if not for the patience of a client.
    await proxy.apply({ kind: 'latency', delayMs: 100 });
    const fed = feed(far, batch, 0).catch(() => null);
    await entered;
    await store.sweep();
    await fed;
    await waitUntil('it is written', async () => (await store.get(jobId)) !== null);
    await waitUntil(
      'it is in both indexes again',
      async () => {
        const replies = ['open', 'deadlines'].map((index) => redis.zcard(`${root}:${index}`));
        return (await Promise.all(replies)).every((jobs) => jobs === 1);
      },
      { timeoutMs: 3_000 },
    );
  });

  it('is kept until it is collected, though its runner may be down for days', async () => {
    const { stores, store, worker, runs, started } = await world();
    const { batch } = await started(1);
    await feed(store, batch, 0);
    await runLine(worker, batch, 0);
    await untilEnded(runs, batch, [0]);
    const left = await stores.redis.pttl(`${stores.root}:{${lineJobId(batch.id, 0)}}:job`);
    expect(left).toBeGreaterThan(29 * 24 * 3_600_000);
  });

  it('is not written once the lease is over', async () => {
    const { stores, store, runs, started } = await world();
    const { batch } = await started(1);
    const { now } = await takeLease(runs, 'runner');
    await expect(feed(store, batch, 0, { writeBefore: now })).rejects.toThrow(
      'may or may not exist',
    );
    expect(await store.get(lineJobId(batch.id, 0))).toBeNull();
    const { redis, root } = stores;
    expect(await redis.hlen(`{${root}:fast}:ledger`)).toBe(0);
    expect(await redis.zcard(`{${root}:fast}:ledger-order`)).toBe(0);
    const later = await feed(store, batch, 0, { writeBefore: now + 60_000 });
    expect(later.kind).toBe('created');
  });

  it('enters its tier only while fewer than a window of them wait', async () => {
    const { stores, store, worker, started } = await world();
    const other = await stores.producer();
    const { batch } = await started(100);
    const placement = { ...ANYWHERE, limits: { ...ANYWHERE.limits, batchWaitingMax: 10 } };
    await store.submit(lineJob(batch, 99, { batch: undefined, class: 'standard' }), ANYWHERE);
    const found = await Promise.all(
      Array.from({ length: 60 }, (_, line) =>
        (line % 2 === 0 ? store : other).submit(lineJob(batch, line), placement),
      ),
    );
    const created = found.flatMap(({ kind }, line) => (kind === 'created' ? [line] : []));
    expect(created).toHaveLength(10);
    const full = found.filter((one) => one.kind === 'full');
    expect(full.map(({ why }) => why)).toEqual(Array.from({ length: 50 }, () => 'window'));
    await runLine(worker, batch, created[0] ?? 0);
    expect(await store.submit(lineJob(batch, 70), placement)).toMatchObject({ kind: 'created' });
  });

  it('takes tokens of its key, and no place', async () => {
    const { stores, store, worker, runs, started } = await world();
    const { batch } = await started(9);
    const keyId = randomUUID();
    const quota = { keyId, concurrency: 1, tokensPerDay: 100, tokens: 30, promptTokens: 1 };
    const line = { ...quota, concurrency: null };
    for (const at of [0, 1, 2]) {
      expect(await feed(store, batch, at, { quota: line })).toMatchObject({ kind: 'created' });
    }
    expect(await feed(store, batch, 3, { quota: line })).toMatchObject({ why: 'tokens' });
    const mine = { batch: undefined, quota: { ...quota, tokens: 1 } };
    const [first, second] = ['job_a', 'job_b'];
    expect(await feed(store, batch, 4, { ...mine, id: first })).toMatchObject({ kind: 'created' });
    expect(await feed(store, batch, 5, { ...mine, id: second })).toMatchObject({
      why: 'concurrency',
    });
    const last = { quota: { ...quota, tokens: 1 } };
    expect(await feed(store, batch, 6, last)).toMatchObject({ kind: 'created' });
    // What it has not used is given back when it is closed, and what it held is forgotten.
    await store.cancel(lineJobId(batch.id, 0));
    await runLine(worker, batch, 1);
    await untilEnded(runs, batch, [0, 1]);
    const { tokens } = await store.countRequest(keyId, 'reads', null);
    expect(tokens.used).toBe(62);
    expect(await stores.redis.zcard(`${stores.root}:{${keyId}}:placeless`)).toBe(2);
  });

  it('costs no more commands than another job of its class', async () => {
    const { url: redisUrl } = await createOwnRedis();
    const { stores, store, worker, runs, started } = await world({}, redisUrl);
    const JOBS = 100;
    const { batch, epoch } = await started(JOBS);
    const lines = Array.from({ length: JOBS }, (_, line) => line);
    const plain = newBatch();
    // Once before, so that Redis knows all scripts.
    for (const fields of [{}, { batch: undefined }]) {
      const { batch: first, epoch: now } = await started(1);
      await feed(store, first, 0, fields);
      await runLine(worker, first, 0);
      await runs.commit(first.id, now, commitOf([0]));
      await runs.forget(first.id, [0]);
    }
    const asLines = await commandsOf(stores, async () => {
      for (const line of lines) await feed(store, batch, line);
      for (const line of lines) await runLine(worker, batch, line);
      await untilEnded(runs, batch, lines);
      await runs.commit(batch.id, epoch, commitOf(lines));
      await runs.forget(batch.id, lines);
    });
    const asJobs = await commandsOf(stores, async () => {
      for (const line of lines) await feed(store, plain, line, { batch: undefined });
      for (const line of lines) await runLine(worker, plain, line);
      const page = { owner: plain.owner, state: 'completed', limit: 100, after: null } as const;
      await waitUntil('all are closed', async () => (await store.list(page)).jobs.length === JOBS);
      for (const line of lines) await store.get(lineJobId(plain.id, line));
    });
    // Some come by the clock.
    expect(Math.round(asLines / JOBS)).toBeLessThanOrEqual(Math.round(asJobs / JOBS));
  });
});

/** How many commands and scripts are sent meanwhile, but for those of the clock and of the tests. */
async function commandsOf({ redis }: Stores, act: () => Promise<void>): Promise<number> {
  const monitor = await redis.monitor();
  let seen = 0;
  monitor.on('monitor', (_time: string, _command: string[], source: string) => {
    if (source !== 'lua') seen += 1;
  });
  await act();
  monitor.disconnect();
  return seen;
}
