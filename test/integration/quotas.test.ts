import { randomUUID } from 'node:crypto';
import type { AttemptLog, ProducerStore, WorkerStore } from '@qarr/job-store';
import { jobError } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import { startTcpProxy } from '../harness/tcp-proxy.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TIMINGS = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 2 };
const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const FAILED = {
  type: 'failed',
  error: jobError('upstream_interrupted'),
  usage: null,
  timings: TIMINGS,
} as const;
const FULL = { ...ANYWHERE, limits: { ...ANYWHERE.limits, depthMax: 0 } };
const DAY_MS = 86_400_000;
/** Some milliseconds each; nearly all of them would lose a hold. */
const RACES = 20;

const QUOTA = { keyId: 'key_1', concurrency: 2, tokensPerDay: 100, promptTokens: 2 };

const keyed = (tokens: number, fields: Partial<NewJob> = {}) =>
  newJob({ quota: { ...QUOTA, tokens }, ...fields });

/** Two replicas and a worker, and a key that may have 2 jobs and 100 tokens. */
async function world() {
  const stores = createStores();
  const [store, other] = [await stores.producer({ mendAfterMs: 0 }), await stores.producer()];
  const { root, redis } = stores;
  const [holds, held, day] = ['holds', 'held-tokens', 'day'].map(
    (name) => `${root}:{key_1}:${name}`,
  );
  return {
    stores,
    store,
    other,
    redis,
    holds: holds ?? '',
    held: held ?? '',
    day: day ?? '',
    open: () => redis.zcard(holds ?? ''),
    used: async () => Number(await redis.hget(day ?? '', 'used')),
    /** Nothing is held without a place, and no place without what is held. */
    async settled() {
      expect(await redis.zcard(holds ?? '')).toBe(await redis.hlen(held ?? ''));
    },
  };
}

function today(): number {
  return Math.floor(Date.now() / DAY_MS);
}

function isThere(store: ProducerStore): Promise<boolean> {
  return store.ping().then(
    () => true,
    () => false,
  );
}

async function run(worker: WorkerStore, { id }: NewJob): Promise<AttemptLog> {
  const claimant = { worker: `worker-${randomUUID()}`, token: 'token' };
  const claim = await worker.claim({ jobId: id, epoch: 1, class: 'standard' }, claimant);
  if (claim.kind !== 'run') throw new Error(claim.kind);
  return claim.openLog(() => {});
}

describe('a job of a key with limits', () => {
  it('takes a place and its tokens, and gives back what it has not used', async () => {
    const { stores, store, open, used, settled } = await world();
    const job = keyed(30);
    const submission = await store.submit(job, ANYWHERE);
    expect(submission).toMatchObject({
      kind: 'created',
      budget: { limit: 100, used: 30, resetMs: expect.any(Number) },
    });
    expect([await open(), await used()]).toEqual([1, 30]);
    const log = await run(await stores.worker(), job);
    const event = {
      type: 'completed',
      finish_reason: 'stop',
      usage: USAGE,
      timings: TIMINGS,
    } as const;
    await log.finish({ event, result: { text: 'Hi', finish_reason: 'stop' } });
    await waitUntil('it is closed', async () => (await open()) === 0);
    expect(await used()).toBe(5);
    await settled();
    await store.sweep();
    expect(await used()).toBe(5);
  });

  it('is one of as many as there may be, however many come at once', async () => {
    const { store, other, open, used } = await world();
    const submissions = await Promise.all(
      Array.from({ length: 12 }, (_, at) =>
        (at % 2 === 0 ? store : other).submit(keyed(10), ANYWHERE),
      ),
    );
    expect(submissions.filter(({ kind }) => kind === 'created')).toHaveLength(2);
    const refused = submissions.filter(({ kind }) => kind === 'over_quota');
    expect(refused).toHaveLength(10);
    expect(refused[0]).toMatchObject({ why: 'concurrency' });
    expect([await open(), await used()]).toEqual([2, 20]);
  });

  it('is refused where the tokens of the day do not suffice', async () => {
    const { store, open, used } = await world();
    expect(await store.submit(keyed(60), ANYWHERE)).toMatchObject({ kind: 'created' });
    expect(await store.submit(keyed(41), ANYWHERE)).toEqual({
      kind: 'over_quota',
      why: 'tokens',
      budget: { limit: 100, used: 60, resetMs: expect.any(Number) },
    });
    expect(await store.submit(keyed(40), ANYWHERE)).toMatchObject({ kind: 'created' });
    expect([await open(), await used()]).toEqual([2, 100]);
  });

  it('takes nothing where its tier is full', async () => {
    const { store, open, used, settled } = await world();
    expect(await store.submit(keyed(10), FULL)).toMatchObject({ kind: 'full' });
    expect([await open(), await used()]).toEqual([0, 0]);
    await settled();
  });

  it('takes it once, however often it is written', async () => {
    const { store, other, open, used } = await world();
    const job = keyed(10, { idempotency: { key: 'once', bodyHash: 'body' } });
    await Promise.all([
      store.submit(job, ANYWHERE),
      other.submit({ ...job, id: newJob().id }, ANYWHERE),
    ]);
    await store.submit(job, ANYWHERE);
    expect([await open(), await used()]).toEqual([1, 10]);
  });

  it('that has ended is not held again by whoever writes it once more', async () => {
    const { store, open, used } = await world();
    const job = keyed(10);
    await store.submit(job, ANYWHERE);
    await store.cancel(job.id);
    expect([await open(), await used()]).toEqual([0, 0]);
    expect(await store.submit(job, ANYWHERE)).toMatchObject({ kind: 'attached' });
    expect([await open(), await used()]).toEqual([0, 0]);
  });

  it('keeps its hold for as long as one of those who write it at once has not given up', async () => {
    const { store, other, open, used, settled } = await world();
    const fast = keyed(10);
    const precise = { ...fast, tier: 'precise' };
    // Both are of two minds about its tier: the second one finds its own full.
    await store.submit(fast, ANYWHERE);
    expect(await other.submit(precise, FULL)).toMatchObject({ kind: 'full' });
    expect([await open(), await used()]).toEqual([1, 10]);
    await store.cancel(fast.id);
    expect([await open(), await used()]).toEqual([0, 0]);

    // Whichever of them is the first.
    for (let round = 0; round < RACES; round += 1) {
      const job = keyed(10);
      const writes = [
        () => store.submit(job, ANYWHERE),
        () => other.submit({ ...job, tier: 'precise' }, FULL),
      ];
      const order = round % 2 === 0 ? writes : writes.toReversed();
      const written = await Promise.all(order.map((write) => write()));
      expect(written.map(({ kind }) => kind)).toContain('created');
      expect([await open(), await used()]).toEqual([1, 10]);
      await store.cancel(job.id);
      expect([await open(), await used()]).toEqual([0, 0]);
    }
    await settled();
  });

  it('is held for as long as it may be open, and its tokens are until tomorrow', async () => {
    const { store, redis, holds, held, day } = await world();
    const openMs = 3_600_000;
    await store.submit(keyed(1, { queueTimeoutMs: 1, runTimeoutMs: 1 }), ANYWHERE);
    await store.submit(keyed(1, { queueTimeoutMs: openMs }), ANYWHERE);
    for (const name of [holds, held]) expect(await redis.pttl(name)).toBeGreaterThan(openMs);
    const left = await redis.pttl(day);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(DAY_MS);
  });

  it('gives its hold back where Redis was cut off before it was written', async () => {
    const { stores, other, redis, holds, held, day, open, used, settled } = await world();
    const proxy = await startTcpProxy({ targetPort: Number(new URL(inject('redisUrl')).port) });
    onTestFinished(() => proxy.stop());
    const store = await stores.producer({
      redisUrl: `redis://127.0.0.1:${proxy.port}`,
      createWithinMs: 200,
    });
    const [written, lost] = [keyed(10), keyed(20)];
    // It knows that its Redis has no limit: a write is the first that it asks of it.
    await store.sweep();
    for (const job of [written, lost]) {
      await waitUntil('it is connected', () => isThere(store));
      await proxy.apply({ kind: 'refuse' });
      const refused = store.submit(job, ANYWHERE);
      await expect(refused).rejects.toMatchObject({ code: 'queue_unavailable' });
      // As if its write had come through, or its hold alone, and only the answer had not.
      if (job === written) await other.submit(job, ANYWHERE);
      else await redis.hincrby(day, 'used', 20);
      await redis.zadd(holds, Date.now() + 60_000, job.id);
      await redis.hset(held, job.id, `${today()} ${job === written ? 10 : 20}`);
      await proxy.heal();
    }
    await waitUntil('one is given back', async () => (await open()) < 2);
    // They are looked at in their order: what the first one holds stays for good.
    expect([await open(), await used()]).toEqual([1, 10]);
    await store.cancel(written.id);
    expect([await open(), await used()]).toEqual([0, 0]);
    await settled();
  });

  it('costs nothing where it never ran: cancelled, deleted or expired', async () => {
    const { store, redis, stores, open, used, settled } = await world();
    const [cancelled, deleted] = [keyed(10), keyed(10)];
    for (const job of [cancelled, deleted]) await store.submit(job, ANYWHERE);
    await store.cancel(cancelled.id);
    await store.delete(deleted.id);
    expect([await open(), await used()]).toEqual([0, 0]);

    const late = keyed(10, { queueTimeoutMs: 1 });
    await store.submit(late, ANYWHERE);
    await waitUntil('it expires', async () => {
      await store.sweep();
      return (await open()) === 0;
    });
    expect(await redis.hget(`${stores.root}:{${late.id}}:job`, 'state')).toBe('expired');
    expect(await used()).toBe(0);
    await settled();
  });

  it('costs what it was known to have used: all, where nobody can tell', async () => {
    const { store, stores, open, used } = await world();
    const worker = await stores.worker();
    const cancelled = keyed(10);
    await store.submit(cancelled, ANYWHERE);
    const log = await run(worker, cancelled);
    await store.cancel(cancelled.id);
    await log.finish({
      event: { type: 'cancelled', ran: true, tokens: 4, usage: null, timings: TIMINGS },
    });
    await waitUntil('it is closed', async () => (await open()) === 0);
    // With its prompt.
    expect(await used()).toBe(6);

    const uncounted = keyed(20);
    await store.submit(uncounted, ANYWHERE);
    const event = {
      type: 'completed',
      finish_reason: 'stop',
      usage: null,
      timings: TIMINGS,
    } as const;
    await (
      await run(worker, uncounted)
    ).finish({ event, result: { text: 'Hi', finish_reason: 'stop' } });
    await waitUntil('it is closed', async () => (await open()) === 0);
    expect(await used()).toBe(26);

    // Deleted while it runs: its end will never be told.
    const deleted = keyed(30);
    await store.submit(deleted, ANYWHERE);
    await run(worker, deleted);
    await store.delete(deleted.id);
    await waitUntil('it is closed', async () => (await open()) === 0);
    expect(await used()).toBe(56);
  });

  it('that failed costs what was made of it, by the count of its ids', async () => {
    const { store, stores, open, used } = await world();
    const worker = await stores.worker();
    const counted = keyed(10);
    await store.submit(counted, ANYWHERE);
    const log = await run(worker, counted);
    // Told with the end, so that there is no event before it.
    log.append({ text: 'Hi', tokenIds: [1, 2, 3] });
    await log.finish({ event: FAILED });
    await waitUntil('it is closed', async () => (await open()) === 0);
    expect(await used()).toBe(5);

    const uncounted = keyed(20);
    await store.submit(uncounted, ANYWHERE);
    const other = await run(worker, uncounted);
    other.append({ text: 'Hi' });
    await other.finish({ event: FAILED });
    await waitUntil('it is closed', async () => (await open()) === 0);
    expect(await used()).toBe(25);
  });

  it('costs what it has used also where it is deleted before its end was closed', async () => {
    const { store, stores, redis, holds, held, open, used } = await world();
    const job = keyed(30);
    await store.submit(job, ANYWHERE);
    const log = await run(await stores.worker(), job);
    log.append({ text: 'Hi', tokenIds: [1, 2, 3] });
    await log.finish({ event: FAILED });
    await waitUntil('it is closed', async () => (await open()) === 0);
    // As if whoever closes it had died before.
    await redis.zadd(holds, Date.now() + DAY_MS, job.id);
    await redis.hset(held, job.id, `${today()} 30`);
    await redis.hset(holds.replace('holds', 'day'), 'used', '30');
    await store.delete(job.id);
    expect([await open(), await used()]).toEqual([0, 5]);
  });

  it('is counted no more when its time must be over, as where a crash kept it from being written', async () => {
    const { store, redis, holds, used, open, settled } = await world();
    const [lost, next] = [keyed(10), keyed(20)];
    await store.submit(lost, ANYWHERE);
    await store.submit(next, ANYWHERE);
    expect(await store.submit(keyed(30), ANYWHERE)).toMatchObject({ why: 'concurrency' });
    const end = Number(await redis.zscore(holds, lost.id));
    // It may wait and run so long, and be closed a little later.
    expect(end).toBeGreaterThan(Date.now() + lost.queueTimeoutMs + lost.runTimeoutMs);
    expect(end).toBeLessThan(Date.now() + DAY_MS);
    await redis.zadd(holds, 1, lost.id);
    expect(await store.submit(keyed(30), ANYWHERE)).toMatchObject({ kind: 'created' });
    expect([await open(), await used()]).toEqual([2, 50]);
    // Its end gives nothing back once more.
    await store.cancel(lost.id);
    expect([await open(), await used()]).toEqual([2, 50]);
    await settled();
  });

  it('gives nothing back to another day', async () => {
    const { store, redis, day, used } = await world();
    const job = keyed(30);
    await store.submit(job, ANYWHERE);
    const yesterday = today() - 1;
    await redis.hset(day.replace('day', 'held-tokens'), job.id, `${yesterday} 30`);
    await store.cancel(job.id);
    expect(await used()).toBe(30);
    // Of yesterday's, nothing counts today.
    await redis.hset(day, 'day', yesterday, 'used', 100);
    expect(await store.submit(keyed(30), ANYWHERE)).toMatchObject({ budget: { used: 30 } });
  });
});

const count = (from: ProducerStore) => from.countRequest('key_2', 'submits', 5);

describe('requests of a key', () => {
  it('are as many in a minute as may be, over all replicas', async () => {
    const { store, other, redis, stores } = await world();
    const counts = await Promise.all(
      Array.from({ length: 20 }, (_, at) => count(at % 2 === 0 ? store : other)),
    );
    expect(counts.filter(({ isAllowed }) => isAllowed)).toHaveLength(5);
    const refused = counts.find(({ isAllowed }) => !isAllowed);
    expect(refused?.retryAfterMs).toBeGreaterThan(0);
    expect(refused?.retryAfterMs).toBeLessThanOrEqual(60_000);
    expect(refused?.submits.used).toBe(5);
    // A minute later.
    await redis.del(`${stores.root}:{key_2}:submits`);
    expect((await count(store)).isAllowed).toBe(true);
  });

  it('are looked at without being counted where there is no limit', async () => {
    const { store, redis, stores } = await world();
    const looked = await store.countRequest('key_3', 'reads', null);
    expect(looked).toMatchObject({ isAllowed: true, submits: { used: 0, resetMs: 0 } });
    expect(await redis.keys(`${stores.root}:{key_3}*`)).toEqual([]);
  });
});
