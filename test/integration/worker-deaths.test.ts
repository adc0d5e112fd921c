/** Which of a job's workers count as dead, and what becomes of a job that they died of. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Claim, WorkerStore } from '@qarr/job-store';
import { jobError } from '@qarr/router-core';
import type { NewJob, WorkerStatus } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { checkLog, readLog } from '../harness/job-log.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';

const DROPPED: Claim = { kind: 'drop', reason: 'failed' };
let deliveries = 0;

describe('a job that is taken over', () => {
  it('is failed after three workers that are dead', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    for (const name of ['a', 'b']) await run(worker, job, name);
    expect(await claim(worker, job, { name: 'c' })).toEqual({ kind: 'alone' });
    await run(worker, job, 'c', { isAlone: true });
    expect(await claim(worker, job, { name: 'd', isAlone: true })).toEqual(DROPPED);
    expect((await store.get(job.id))?.error).toEqual(jobError('poison'));
  });

  it('has its own time to run, however long it waited to be alone, up to as long again', async () => {
    const { store, worker, stores } = await begun();
    const RUN_MS = 1_000;
    const [patient, forgotten, swept] = [
      await submitted(store, { runTimeoutMs: RUN_MS }),
      await submitted(store, { runTimeoutMs: RUN_MS }),
      await submitted(store, { runTimeoutMs: RUN_MS }),
    ];
    for (const job of [patient, forgotten, swept]) {
      for (const name of ['a', 'b']) await run(worker, job, name);
      expect(await claim(worker, job, { name: 'c' })).toEqual({ kind: 'alone' });
    }
    // The sweep leaves a worker 10 s more: for this one they are nearly over.
    const startedAt = Date.now() - RUN_MS - 10_000 + RUN_MS / 2;
    await stores.redis.hset(`${stores.root}:{${swept.id}}:job`, 'started_at', startedAt);
    await stores.redis.zadd(`${stores.root}:deadlines`, 1, swept.id);
    await sleep(RUN_MS + 100);
    await store.sweep();
    expect((await store.get(swept.id))?.state).toBe('queued');
    expect((await run(worker, patient, 'c', { isAlone: true })).job.runLeftMs).toBeGreaterThan(0);
    await sleep(RUN_MS);
    expect(await claim(worker, forgotten, { name: 'c', isAlone: true })).toEqual(DROPPED);
    expect((await store.get(forgotten.id))?.error).toEqual(jobError('run_timeout'));
  });

  it('is never failed for workers that live', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      await worker.beat(status(`w${attempt}`));
      const { job: claimed } = await run(worker, job, `w${attempt}`);
      expect(claimed.attempt).toBe(attempt);
    }
  });

  it('by its own worker has had no death', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    for (let attempt = 1; attempt <= 6; attempt += 1) {
      expect((await run(worker, job, 'same')).job.attempt).toBe(attempt);
    }
  });

  it('waits where nobody has seen long enough who lives', async () => {
    const { store, worker, stores } = await begun({ regularForMs: 60_000 });
    const job = await submitted(store);
    await run(worker, job, 'a');
    const before = await stores.redis.hgetall(`${stores.root}:{${job.id}}:job`);
    expect(await claim(worker, job, { name: 'b' })).toEqual({ kind: 'unclear' });
    expect(await stores.redis.hgetall(`${stores.root}:{${job.id}}:job`)).toEqual(before);
    await worker.beat(status('a'));
    expect((await run(worker, job, 'b')).job.attempt).toBe(2);
  });

  it('waits where a worker asks that has not been heard of itself', async () => {
    const stores = createStores();
    const [store, worker] = [await stores.producer(), await stores.worker()];
    const job = await submitted(store);
    await run(worker, job, 'a');
    expect(await claim(worker, job, { name: 'b' })).toEqual({ kind: 'unclear' });
  });
});

describe('a job that may cause one more death', () => {
  it('waits in the queue until it is alone, fenced from its former worker', async () => {
    const { store, worker, stores } = await begun();
    const job = await submitted(store);
    await run(worker, job, 'a');
    const zombie = await run(worker, job, 'b');
    expect(await claim(worker, job, { name: 'c' })).toEqual({ kind: 'alone' });
    expect((await store.get(job.id))?.state).toBe('queued');
    const log = zombie.openLog(() => {});
    log.append({ text: 'ghost' });
    const end = { type: 'failed', error: jobError('poison'), usage: null, timings: null } as const;
    expect(await log.finish({ event: end })).toBe('superseded');

    // Asked again, it has not died again.
    expect(await claim(worker, job, { name: 'c' })).toEqual({ kind: 'alone' });
    expect((await run(worker, job, 'd', { isAlone: true })).job.attempt).toBe(3);
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(JSON.stringify(events)).not.toContain('ghost');
  });

  it('is cancelled while it waits', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    for (const name of ['a', 'b']) await run(worker, job, name);
    await claim(worker, job, { name: 'c' });
    expect(await store.cancel(job.id)).toBe('cancelled');
    const after = await claim(worker, job, { name: 'd', isAlone: true });
    expect(after).toEqual({ kind: 'drop', reason: 'cancelled' });
  });

  it('still runs alone after it was handed back', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    for (const name of ['a', 'b']) await run(worker, job, name);
    const third = await run(worker, job, 'c', { isAlone: true });
    expect(await third.openLog(() => {}).requeue({ burns: 'nothing' })).toBe('ok');
    expect(await claim(worker, job, { name: 'd' })).toEqual({ kind: 'alone' });
  });
});

describe('the tokens that a job has made', () => {
  it('are known when its worker has died, as far as their ids were told', async () => {
    const { stores, store, worker } = await begun();
    const [told, untold] = [await submitted(store), await submitted(store)];
    expect((await run(worker, told, 'a', { tokenIds: [7, 8, 9] })).job.tokensBefore).toBe(0);
    await run(worker, untold, 'a', { tokenIds: [] });
    expect((await run(worker, told, 'b', { tokenIds: [5] })).job.tokensBefore).toBe(3);
    expect((await run(worker, untold, 'b')).job.tokensBefore).toBeNull();
    await store.cancel(told.id);
    expect(await claim(worker, told, { name: 'c' })).toMatchObject({ reason: 'cancelled' });
    const events = await readLog({ ...stores, jobId: told.id });
    expect(events.at(-1)).toMatchObject({ type: 'cancelled', ran: true, tokens: 4 });
  });

  it('are those of all attempts that gave it back', async () => {
    const { store, worker } = await begun();
    const job = await submitted(store);
    const first = (await run(worker, job, 'a')).openLog(() => {});
    first.append({ text: 'Hel', tokenIds: [1, 2] });
    expect(await first.requeue({ burns: 'nothing' })).toBe('ok');
    const second = await run(worker, job, 'b');
    expect(second.job.tokensBefore).toBe(2);
    const log = second.openLog(() => {});
    // The engine has counted one whose id it had not told yet.
    expect(await log.requeue({ burns: 'try', tokensMade: 6 })).toBe('ok');
    expect((await run(worker, job, 'c')).job.tokensBefore).toBe(6);
  });
});

async function begun({ regularForMs = 0 } = {}) {
  const stores = createStores();
  const store = await stores.producer();
  const worker = await stores.worker('fast', { regularForMs });
  await worker.beat(status('observer'));
  return { stores, store, worker };
}

type Store = Awaited<ReturnType<typeof begun>>['store'];

async function submitted(store: Store, fields: Partial<NewJob> = {}): Promise<NewJob> {
  const job = newJob({ onInterrupt: 'continue', ...fields });
  await store.submit(job, ANYWHERE);
  return job;
}

function claim(
  worker: WorkerStore,
  job: NewJob,
  { name, isAlone = false }: { name: string; isAlone?: boolean },
): Promise<Claim> {
  deliveries += 1;
  const entry = { jobId: job.id, epoch: 1, class: job.class };
  return worker.claim(entry, { worker: name, token: `t${deliveries}`, isAlone });
}

/** Claims it, and publishes a text of these tokens before it dies. */
async function run(
  worker: WorkerStore,
  job: NewJob,
  name: string,
  { isAlone = false, tokenIds }: { isAlone?: boolean; tokenIds?: number[] } = {},
) {
  const claimed = await claim(worker, job, { name, isAlone });
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  if (tokenIds !== undefined) {
    const log = claimed.openLog(() => {});
    log.append({ text: 'Hel', tokenIds });
    // Pipelines of one connection are answered in their order.
    await new Promise((resolve) => setImmediate(resolve));
    await worker.look([job.id]);
  }
  return claimed;
}

function status(id: string): WorkerStatus {
  return {
    id,
    host: 'h',
    pid: 1,
    slots: 4,
    running: 1,
    breaker: 'closed',
    upstream: 'http://127.0.0.1:1',
    model: 'm',
    max_model_len: null,
    service_ms: null,
  };
}
