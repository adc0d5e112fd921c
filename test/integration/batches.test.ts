/** Batches in Redis: how one is made, found and run to its end, and what becomes of its lines. */
import { randomUUID } from 'node:crypto';
import type { BatchRuns, Commit, ProducerStore, WorkerStore } from '@qarr/job-store';
import { lineJobId } from '@qarr/router-core';
import type { NewBatch, NewJob } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

describe('a batch', () => {
  it('runs to its end', async () => {
    const { stores, store, worker, runs } = await world();
    const batch = newBatch();
    const created = await store.batches.create(batch, { openMax: 1 });
    expect(created).toMatchObject({ kind: 'created', batch: { state: 'validating', total: 0 } });
    expect(await runs.unfinished(10)).toEqual([batch.id]);
    const { epoch } = await lease(runs);
    expect(await runs.open(batch.id, epoch)).toMatchObject({ cursors: {}, segments: [] });
    expect(await runs.validated(batch.id, epoch, { total: 2, model: 'm' })).toBe('ok');
    for (const line of [0, 1]) await feed(store, batch, line);
    expect(await store.batches.linesInSystem(batch.id)).toEqual([0, 1]);
    await run(worker, batch, 1);
    const ended = await untilEnded(runs, batch, [1]);
    expect(ended).toMatchObject([{ line: 1, job: { state: 'completed', result: { text: 'Hi' } } }]);
    expect(await runs.commit(batch.id, epoch, outcome(epoch, [1]))).toBe('ok');
    expect(await runs.finalizing(batch.id, epoch)).toBe('conflict');
    await runs.forget(batch.id, [0, 1]);
    expect(await store.get(lineJobId(batch.id, 1))).toBeNull();
    expect(await store.get(lineJobId(batch.id, 0))).not.toBeNull();
    await run(worker, batch, 0);
    expect(await runs.commit(batch.id, epoch, outcome(epoch, [0]))).toBe('ok');
    expect(await runs.finalizing(batch.id, epoch)).toBe('ok');
    const files = { outputFileId: 'file-1', errorFileId: null };
    expect(await runs.finish(batch.id, epoch, files)).toBe('ok');
    expect(await runs.unfinished(10)).toEqual([]);
    expect(await store.batches.get(batch.id)).toMatchObject({
      state: 'completed',
      total: 2,
      completed: 2,
      failed: 0,
      usage: { promptTokens: 2 },
      outputFileId: 'file-1',
    });
    expect(await store.batches.open(batch.owner)).toEqual([]);
    expect(stores.errors).toEqual([]);
  });
});

function newBatch(fields: Partial<NewBatch> = {}): NewBatch {
  return {
    id: `batch_${randomUUID().replaceAll('-', '')}`,
    owner: 'ann',
    endpoint: '/v1/chat/completions',
    inputFileId: 'file-in',
    completionWindow: '24h',
    windowMs: 86_400_000,
    metadata: null,
    quota: null,
    webhookUrl: null,
    outputKeptMs: 60_000,
    ...fields,
  };
}

async function world() {
  const stores = createStores();
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  return { stores, store, worker, runs: store.batchRuns };
}

async function lease(runs: BatchRuns, runnerId = 'runner') {
  const given = await runs.lease(runnerId);
  if (given === null) throw new Error('Another runner has the lease');
  return given;
}

function lineJob({ id: batchId, owner }: NewBatch, line: number): NewJob {
  return newJob({
    id: lineJobId(batchId, line),
    owner,
    class: 'batch',
    batch: { batchId, line, customId: `line-${line}` },
  });
}

async function feed(store: ProducerStore, batch: NewBatch, line: number) {
  return store.submit(lineJob(batch, line), ANYWHERE);
}

async function run(worker: WorkerStore, batch: NewBatch, line: number): Promise<void> {
  const entry = { jobId: lineJobId(batch.id, line), epoch: 1, class: 'batch' } as const;
  const claimed = await worker.claim(entry, { worker: 'w', token: randomUUID() });
  if (claimed.kind !== 'run') throw new Error('dropped');
  const log = claimed.openLog(() => {});
  const timings = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };
  await log.finish({
    event: { type: 'completed', finish_reason: 'stop', usage: null, timings },
    result: { text: 'Hi', finish_reason: 'stop' },
  });
}

/** Its worker says so after its last event. */
async function untilEnded(runs: BatchRuns, { id }: NewBatch, lines: readonly number[]) {
  return waitUntil(`lines ${lines.join()} have ended`, async () => {
    const ended = await runs.ended(id, { limit: 100, except: new Set() });
    return ended.length === lines.length ? ended : null;
  });
}

let segments = 0;

function outcome(epoch: number, lines: readonly number[]): Commit {
  segments += 1;
  return {
    segment: {
      name: `${epoch}-${segments}`,
      outputLines: lines.length,
      outputBytes: 10 * lines.length,
      errorLines: 0,
      errorBytes: 0,
    },
    lines,
    usage: {
      promptTokens: lines.length,
      cachedTokens: 0,
      completionTokens: 0,
      reasoningTokens: 0,
    },
    cursors: { fast: Math.max(...lines) + 1 },
  };
}
