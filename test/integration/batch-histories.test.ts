/**
 * Random histories of a batch: two runners, one of which is always late, a worker and a client, against
 * a small model of what each call may answer. After each step every line is in one place.
 */
import type { Commit, OpenedBatch, ProducerStore, WorkerStore } from '@qarr/job-store';
import { BATCH_TRANSITIONS, isBatchOver, lineJobId } from '@qarr/router-core';
import type { BatchState } from '@qarr/router-core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { commitOf, feed, linesOf, newBatch, runLine } from '../harness/batches.ts';
import { createStores } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const LINES = 4;
const HISTORIES = 60;
const NO_FILES = { outputFileId: null, errorFileId: null };

const runner = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constant(1) },
);
/** Also one that there is not. */
const line = fc.nat(LINES);
const of = <Kind extends string>(kind: Kind) => ({ kind: fc.constant(kind) });

const operation = fc.oneof(
  { weight: 2, arbitrary: fc.record({ ...of('take over'), runner }) },
  { weight: 1, arbitrary: fc.record({ ...of('open'), runner }) },
  { weight: 1, arbitrary: fc.record({ ...of('validated'), runner }) },
  { weight: 4, arbitrary: fc.record({ ...of('feed'), runner, line }) },
  { weight: 4, arbitrary: fc.record({ ...of('run'), line }) },
  { weight: 1, arbitrary: fc.record({ ...of('delete'), line }) },
  { weight: 1, arbitrary: fc.record({ ...of('cancel job'), line }) },
  { weight: 2, arbitrary: fc.record({ ...of('close late'), line }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...of('commit'),
      runner,
      lines: fc.array(line, { minLength: 1, maxLength: 3 }),
      failed: fc.nat(1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ ...of('commit again'), runner }) },
  { weight: 2, arbitrary: fc.record({ ...of('commit all that ended'), runner }) },
  { weight: 1, arbitrary: fc.record({ ...of('forget') }) },
  { weight: 1, arbitrary: fc.record({ ...of('cancel') }) },
  { weight: 1, arbitrary: fc.record({ ...of('expire'), runner }) },
  { weight: 2, arbitrary: fc.record({ ...of('finalizing'), runner }) },
  { weight: 2, arbitrary: fc.record({ ...of('finish'), runner }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer Value> ? Value : never;

/** Most that can happen to a batch happens after this. */
const BEGINNING: Operation[] = [
  { kind: 'take over', runner: 0 },
  { kind: 'open', runner: 0 },
  { kind: 'validated', runner: 0 },
];

/** Its job ends when nobody waits for it any more. */
const FED_AFTER_ITS_COMMIT: Operation[] = [
  { kind: 'take over', runner: 0 },
  { kind: 'open', runner: 0 },
  { kind: 'validated', runner: 0 },
  { kind: 'commit', runner: 0, lines: [2], failed: 0 },
  { kind: 'open', runner: 0 },
  { kind: 'feed', runner: 0, line: 2 },
  { kind: 'run', line: 2 },
  { kind: 'forget' },
];

it('keep every invariant, whatever two runners do', async () => {
  const stores = createStores();
  const [store, worker] = await Promise.all([
    stores.producer({ mendAfterMs: 0, passEveryMs: 0 }),
    stores.worker(),
  ]);
  const some = fc.array(operation, { minLength: 10, maxLength: 40 });
  const operations = fc.oneof(
    { weight: 1, arbitrary: some },
    { weight: 4, arbitrary: some.map((following) => [...BEGINNING, ...following]) },
  );
  const history = fc.asyncProperty(operations, async (drawn) => {
    await live({ stores, store, worker, operations: drawn });
    expect(stores.errors).toEqual([]);
    const names = await stores.redis.keys(`*${stores.root}*`);
    const own = names.filter((name) => !name.endsWith(':meta'));
    if (own.length > 0) await stores.redis.del(...own);
  });
  await fc.assert(history, { numRuns: HISTORIES, examples: [[FED_AFTER_ITS_COMMIT]] });
});

interface Model {
  state: BatchState;
  /** That has opened it last. */
  epoch: number;
  isExpiring: boolean;
  readonly done: Set<number>;
  readonly commits: Commit[];
}

interface Lease {
  epoch: number;
  validUntil: number;
  lastCommit: Commit | null;
}

async function live({
  stores: { redis, root },
  store,
  worker,
  operations,
}: {
  stores: Stores;
  store: ProducerStore;
  worker: WorkerStore;
  operations: readonly Operation[];
}): Promise<void> {
  const { batches, batchRuns: runs } = store;
  const batch = newBatch();
  expect(await batches.create(batch, { openMax: 1_000 })).toMatchObject({ kind: 'created' });
  // Without a lease: their time is over.
  const runners = [0, 1].map((): Lease => ({ epoch: 0, validUntil: 1, lastCommit: null }));
  const model: Model = {
    state: 'validating',
    epoch: 0,
    isExpiring: false,
    done: new Set(),
    commits: [],
  };
  let isValidated = false;
  const fed = new Set<number>();
  const jobOf = (at: number) => lineJobId(batch.id, at);
  const key = (part: string) => `${root}:{${batch.id}}:${part}`;

  function become(next: BatchState): void {
    expect(BATCH_TRANSITIONS[model.state]).toContain(next);
    model.state = next;
  }

  /** What a write of this runner answers where nothing else is against it. */
  const fence = ({ epoch }: Lease) => (epoch === model.epoch ? 'ok' : 'fenced');
  const hasAll = () => model.done.size === (isValidated ? LINES : 0);

  async function commit(by: Lease, made: Commit): Promise<void> {
    const isAgain = model.commits.at(-1)?.segment.name === made.segment.name;
    const isRight =
      isValidated &&
      !isBatchOver(model.state) &&
      new Set(made.lines).size === made.lines.length &&
      made.lines.every((at) => at < LINES && !model.done.has(at));
    const isFenced = fence(by) === 'fenced';
    const expected = isFenced ? 'fenced' : isAgain || isRight ? 'ok' : 'conflict';
    expect(await runs.commit(batch.id, by.epoch, made)).toBe(expected);
    if (expected !== 'ok') return;
    by.lastCommit = made;
    if (isAgain) return;
    model.commits.push(made);
    for (const at of made.lines) model.done.add(at);
  }

  for (const step of operations) {
    const by = 'runner' in step ? runners[step.runner] : runners[0];
    if (by === undefined) throw new Error('no runner');
    switch (step.kind) {
      case 'take over': {
        // Time has passed, and the other one does not know it yet.
        await redis.hset(`${root}:runner-lease`, 'until', 1);
        const lease = await runs.lease(`runner-${step.runner}`);
        if (lease === null) throw new Error('nobody has it');
        for (const other of runners) {
          expect(lease.epoch).toBeGreaterThan(other.epoch);
          other.validUntil = 1;
        }
        Object.assign(by, lease);
        break;
      }
      case 'open': {
        const opened = await runs.open(batch.id, by.epoch);
        if (by.epoch < model.epoch) {
          expect(opened).toBe('fenced');
          break;
        }
        model.epoch = by.epoch;
        expect(opened).toMatchObject({
          record: { state: model.state },
          isExpiring: model.isExpiring,
          segments: model.commits.map(({ segment }) => segment),
        });
        const { done } = opened as OpenedBatch;
        if (!isBatchOver(model.state)) expect(linesOf(done)).toEqual(sorted(model.done));
        break;
      }
      case 'validated': {
        const said = await runs.validated(batch.id, by.epoch, { total: LINES, model: null });
        const isLate = !isValidated && isBatchOver(model.state);
        expect(said).toBe(fence(by) === 'ok' && isLate ? 'conflict' : fence(by));
        if (said !== 'ok') break;
        if (model.state === 'validating') become('in_progress');
        isValidated = true;
        break;
      }
      case 'feed': {
        if (!isValidated || step.line >= LINES || isBatchOver(model.state)) break;
        const job = { writeBefore: by.validUntil };
        const submission = await feed(store, batch, step.line, job).catch(() => null);
        const record = await store.get(jobOf(step.line));
        // Nothing is written by a runner that is late.
        if (by.validUntil === 1) expect(submission?.kind).not.toBe('created');
        if (record !== null) fed.add(step.line);
        break;
      }
      case 'run':
        if (await runLine(worker, batch, step.line)) await untilClosed(step.line);
        break;
      case 'delete':
        await store.delete(jobOf(step.line));
        break;
      case 'cancel job':
        await store.cancel(jobOf(step.line));
        break;
      case 'close late':
        // As after a crash of whoever closed it, however long ago.
        await redis.zadd(`${root}:open`, 1, jobOf(step.line));
        await store.sweep();
        break;
      case 'commit': {
        const failed = Math.min(step.failed, step.lines.length);
        await commit(by, commitOf(step.lines, { failed }));
        break;
      }
      case 'commit again':
        if (by.lastCommit !== null) await commit(by, by.lastCommit);
        break;
      case 'commit all that ended': {
        const ended = await runs.ended(batch.id, { limit: 9, except: new Set() });
        if (ended.length > 0) await commit(by, commitOf(ended.map((one) => one.line)));
        break;
      }
      case 'forget':
        await runs.forget(batch.id, [0, 1, 2, 3, 4]);
        for (const at of model.done) {
          const state = (await store.get(jobOf(at)))?.state;
          // One that had not ended goes soon after its end.
          if (state !== undefined && !['queued', 'running'].includes(state)) {
            const left = await redis.pttl(`${root}:{${jobOf(at)}}:job`);
            expect(left).toBeLessThanOrEqual(60_000);
          }
        }
        break;
      case 'cancel':
        await batches.cancel(batch.id);
        if (!isBatchOver(model.state) && model.state !== 'cancelling') become('cancelling');
        break;
      case 'expire':
        expect(await runs.expire(batch.id, by.epoch)).toBe(fence(by));
        if (fence(by) === 'ok' && ['validating', 'in_progress'].includes(model.state)) {
          if (model.state === 'validating' || !hasAll()) model.isExpiring = true;
        }
        break;
      case 'finalizing': {
        const may = hasAll() && ['in_progress', 'finalizing', 'cancelling'].includes(model.state);
        const expected = fence(by) === 'ok' && !may ? 'conflict' : fence(by);
        expect(await runs.finalizing(batch.id, by.epoch)).toBe(expected);
        if (expected === 'ok' && model.state === 'in_progress') become('finalizing');
        break;
      }
      case 'finish': {
        const isOver = isBatchOver(model.state);
        const may = isOver || (hasAll() && ['finalizing', 'cancelling'].includes(model.state));
        const expected = fence(by) === 'ok' && !may ? 'conflict' : fence(by);
        expect(await runs.finish(batch.id, by.epoch, NO_FILES)).toBe(expected);
        if (expected !== 'ok' || isOver) break;
        if (model.state === 'cancelling') become('cancelled');
        else become(model.isExpiring ? 'expired' : 'completed');
        break;
      }
      default:
        step satisfies never;
    }
    await check();
  }

  /** A worker says so after its last event. */
  async function untilClosed(at: number): Promise<void> {
    await waitUntil('it is closed', async () => {
      const isOpen = await redis.zscore(`${root}:open`, jobOf(at));
      return isOpen === null;
    });
  }

  async function check(): Promise<void> {
    const record = await batches.get(batch.id);
    const sum = (count: (commit: Commit) => number) =>
      model.commits.reduce((total, one) => total + count(one), 0);
    expect(record).toMatchObject({
      state: model.state,
      total: isValidated ? LINES : 0,
      completed: sum(({ segment }) => segment.outputLines),
      failed: sum(({ segment }) => segment.errorLines),
      usage: { promptTokens: sum(({ usage }) => usage.promptTokens) },
    });
    expect(await batches.segments(batch.id)).toEqual(model.commits.map(({ segment }) => segment));
    if (isBatchOver(model.state)) {
      expect(await redis.exists(key('done'), key('open'), key('ended'), key('committed'))).toBe(0);
      return;
    }
    expect(linesOf(new Uint8Array((await redis.getBuffer(key('done'))) ?? []))).toEqual(
      sorted(model.done),
    );
    const [open, ended] = await Promise.all(
      ['open', 'ended'].map(async (part) => (await redis.smembers(key(part))).map(Number)),
    );
    for (const at of fed) {
      const places = [open?.includes(at), ended?.includes(at), model.done.has(at)];
      // Neither lost nor twice.
      expect([at, places.filter(Boolean).length]).toEqual([at, 1]);
      const job = await store.get(jobOf(at));
      if (open?.includes(at)) expect(job?.state).toMatch(/queued|running/);
      if (ended?.includes(at)) expect(job?.state ?? 'deleted').not.toMatch(/queued|running/);
    }
  }
}

function sorted(lines: ReadonlySet<number>): number[] {
  return [...lines].toSorted((one, other) => one - other);
}
