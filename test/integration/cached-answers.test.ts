import { randomUUID } from 'node:crypto';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { readLog } from '../harness/job-log.ts';
import { ANYWHERE, createStores, entriesOf, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const CACHE = { requestHash: 'hash', ttlMs: 60_000 };
const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const RESULT = { text: 'An answer.', finish_reason: 'stop' } as const;
const ANSWER = { result: RESULT, usage: USAGE };
const TIMINGS = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 2 };

describe('an answer', () => {
  it('is found for the same request of the same tier, as long as it is kept', async () => {
    const { store, stores, answer } = await world();
    const job = newJob({ cache: CACHE });
    await answer(job);
    expect(await store.findAnswer('fast', 'hash')).toEqual(ANSWER);
    expect(await store.findAnswer('precise', 'hash')).toBeNull();
    expect(await store.findAnswer('fast', 'another')).toBeNull();
    const ttlMs = await stores.redis.pttl(`${stores.root}:answer:fast:hash`);
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(CACHE.ttlMs);
  });

  it('is not kept of a job that does not ask for it', async () => {
    const { store, stores, answer } = await world();
    await answer(newJob());
    expect(await store.findAnswer('fast', 'hash')).toBeNull();
    expect(await stores.redis.keys(`${stores.root}:answer:*`)).toEqual([]);
  });

  it('is gone with its job', async () => {
    const { store, answer } = await world();
    const job = newJob({ cache: CACHE });
    await answer(job);
    await store.delete(job.id);
    expect(await store.findAnswer('fast', 'hash')).toBeNull();
  });

  it('is not that of a job which failed', async () => {
    const { store, run } = await world();
    const log = await run(newJob({ cache: CACHE }));
    const error = { code: 'upstream_error', message: 'no', retryable: true } as const;
    await log.finish({ event: { type: 'failed', error, usage: null, timings: null } });
    expect(await store.findAnswer('fast', 'hash')).toBeNull();
  });
});

describe('a job that has its answer already', () => {
  it('is complete at once, with the events of one that ran, and in no queue', async () => {
    const { store, stores } = await world();
    const job = newJob();
    const place = { position: 0, estimatedWaitMs: 0 };
    const submission = await store.submitAnswered(job, ANSWER);
    expect(submission).toEqual({ kind: 'created', jobId: job.id, place });
    expect(await store.get(job.id)).toMatchObject({
      state: 'completed',
      result: { ...RESULT, cached: true },
      usage: USAGE,
      attempt: 1,
      seq: 4,
    });
    const events = await readLog({ ...stores, jobId: job.id });
    expect(events.map(({ type }) => type)).toEqual(['queued', 'started', 'delta', 'completed']);
    expect(events[3]).toMatchObject({ cached: true, usage: USAGE });
    expect(await entriesOf(stores, 'fast')).toBe(0);
    expect(await stores.redis.zcard(`${stores.root}:open`)).toBe(0);
    expect(await stores.redis.hlen(`{${stores.root}:fast}:ledger`)).toBe(0);
    const { jobs } = await store.list({ owner: job.owner, state: null, limit: 10, after: null });
    expect(jobs.map(({ id }) => id)).toEqual([job.id]);
  });

  it('can be read by those who follow it', async () => {
    const { store } = await world();
    const job = newJob();
    await store.submitAnswered(job, ANSWER);
    const types: string[] = [];
    const { signal } = new AbortController();
    for await (const page of store.follow(job.id, { after: 0, signal })) {
      types.push(...page.map(({ type }) => type));
    }
    expect(types).toEqual(['queued', 'started', 'delta', 'completed']);
  });

  it('is one job for one idempotency key', async () => {
    const { store } = await world();
    const first = await store.submitAnswered(named(), ANSWER);
    const second = await store.submitAnswered(named(), ANSWER);
    expect(second).toMatchObject({ kind: 'attached', record: { state: 'completed' } });
    expect(second.kind === 'attached' && second.record.id).toBe(
      first.kind === 'created' && first.jobId,
    );
  });

  it('does not make the answer last longer', async () => {
    const { store, stores } = await world();
    await store.submitAnswered(newJob(), ANSWER);
    expect(await stores.redis.keys(`${stores.root}:answer:*`)).toEqual([]);
  });
});

function named(): NewJob {
  return newJob({ idempotency: { key: 'a key', bodyHash: 'body' } });
}

async function world() {
  const stores = createStores();
  const store = await stores.producer();
  const worker = await stores.worker();

  async function run(job: NewJob) {
    await store.submit(job, ANYWHERE);
    const entry = { jobId: job.id, epoch: 1, class: job.class };
    const claim = await worker.claim(entry, { worker: 'w', token: randomUUID() });
    if (claim.kind !== 'run') throw new Error(claim.kind);
    return claim.openLog(() => {});
  }

  return {
    stores,
    store,
    run,
    async answer(job: NewJob) {
      const log = await run(job);
      const event = {
        type: 'completed',
        finish_reason: 'stop',
        usage: USAGE,
        timings: TIMINGS,
      } as const;
      await log.finish({ event, result: RESULT });
      const open = async () => stores.redis.zscore(`${stores.root}:open`, job.id);
      await waitUntil('it is closed', async () => (await open()) === null);
    },
  };
}
