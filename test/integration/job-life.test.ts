import type { AttemptLog, Claim, StopReason, WorkerStore } from '@qarr/job-store';
import { NO_LOAD, NO_PACE, jobError } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { checkLog, readLog, textOf } from '../harness/job-log.ts';
import { ANYWHERE, createStores, entriesOf, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TIMINGS = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const COMPLETED = {
  event: { type: 'completed', finish_reason: 'stop', usage: null, timings: TIMINGS },
  result: { text: 'Hello', finish_reason: 'stop' },
} as const;
const CANCELLED = {
  event: { type: 'cancelled', ran: true, tokens: 3, usage: null, timings: TIMINGS },
} as const;

describe('submitting', () => {
  it('writes a record, an event, the indexes and a queue entry without any content', async () => {
    const { store, stores } = await producer();
    const job = newJob({ metadata: { a: 'b' }, requestedTier: 'fast' });
    const submission = await store.submit(job, {
      ...ANYWHERE,
      pace: { ...NO_PACE, breaker: 'open', retryInMs: 2_000 },
    });

    const place = { position: 1, estimatedWaitMs: 7_000 };
    const found = { load: NO_LOAD, ahead: { jobs: 0, tokens: 0 } };
    expect(submission).toEqual({ kind: 'created', jobId: job.id, place, found, budget: null });
    expect(await store.get(job.id)).toMatchObject({
      state: 'queued',
      request: job.request,
      metadata: { a: 'b' },
      requestedTier: 'fast',
      attempt: 0,
    });
    const queued = { type: 'queued', tier: 'fast', route: ['default'], position: 1 };
    expect(await readLog({ ...stores, jobId: job.id })).toEqual([
      { ...queued, estimated_wait_ms: 7_000 },
    ]);
    expect(await stores.redis.zrange(`${stores.root}:open`, '0', '-1')).toEqual([job.id]);
    expect(await stores.redis.zrange(`${stores.root}:deadlines`, '0', '-1')).toEqual([job.id]);
    const entry = await stores.redis.hgetall(`{${stores.root}:fast}:${job.id}`);
    expect(JSON.parse(entry['data'] ?? '')).toEqual({ jobId: job.id, epoch: 1, class: 'standard' });
    expect((await store.status('fast')).depth).toBe(1);
  });

  it('makes one job of two submissions with one id', async () => {
    const { store, stores } = await producer();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const again = { ...job, reasons: ['other'], tier: 'precise' };
    expect(await store.submit(again, ANYWHERE)).toMatchObject({
      kind: 'attached',
      record: { id: job.id, tier: 'fast', reasons: ['default'] },
    });
    expect((await store.status('fast')).depth).toBe(1);
    expect((await store.status('precise')).depth).toBe(0);
    expect(await readLog({ ...stores, jobId: job.id })).toHaveLength(1);
  });

  it('never lets an unfinished job expire from Redis, and gives a finished one its time', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job);
    log.append({ text: 'Hello' });
    const [record, events] = [`${stores.root}:{${job.id}}:job`, `${stores.root}:{${job.id}}:log`];
    expect([await stores.redis.pttl(record), await stores.redis.pttl(events)]).toEqual([-1, -1]);

    expect(await log.finish(COMPLETED)).toBe('ok');
    expect(await stores.redis.pttl(record)).toBeGreaterThan(86_000_000);
    expect(await stores.redis.pttl(events)).toBeGreaterThan(3_500_000);
    await waitUntil('the indexes are empty', async () => {
      const open = await stores.redis.zcard(`${stores.root}:open`);
      return open + (await stores.redis.zcard(`${stores.root}:deadlines`)) === 0;
    });
  });

  it('says how long it is kept, whoever ends it', async () => {
    const { worker, stores } = await both();
    const store = await stores.producer({ retention: { resultMs: 50_000, logMs: 20_000 } });
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job);
    expect(await log.finish(COMPLETED)).toBe('ok');
    const keptMs = await stores.redis.pttl(`${stores.root}:{${job.id}}:job`);
    expect(keptMs).toBeGreaterThan(20_000);
    expect(keptMs).toBeLessThanOrEqual(50_000);
    expect(await stores.redis.pttl(`${stores.root}:{${job.id}}:log`)).toBeLessThanOrEqual(20_000);
  });
});

describe('one attempt', () => {
  it('runs from claim to result', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log, claim: claimed } = await run(worker, job);
    expect(claimed.job).toMatchObject({
      jobId: job.id,
      attempt: 1,
      failures: 0,
      request: job.request,
    });
    log.append({ text: 'Hel' });
    log.append({ text: 'lo', reasoning: 'hm' });
    expect(await log.finish(COMPLETED)).toBe('ok');
    // As where its answer was lost.
    expect(await log.finish(COMPLETED)).toBe('ok');

    expect(await store.get(job.id)).toMatchObject({
      state: 'completed',
      result: COMPLETED.result,
      timings: TIMINGS,
    });
    const events = await readLog({ ...stores, jobId: job.id });
    expect(events.map((event) => event.type)).toEqual(['queued', 'started', 'delta', 'completed']);
    expect(events[2]).toEqual({ type: 'delta', text: 'Hello', reasoning: 'hm' });
  });

  it('is claimed once, however often one delivery asks', async () => {
    const { store, worker } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    await run(worker, job, 'same');
    const again = await run(worker, job, 'same');
    expect(again.claim.job.attempt).toBe(1);
    expect((await store.get(job.id))?.seq).toBe(2);
  });

  it('is handed back without burning a try, and its text is voided for the next', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const first = await run(worker, job, 't1');
    first.log.append({ text: 'Hel' });
    await waitUntil('the text is logged', async () => (await store.get(job.id))?.seq === 3);
    expect(await first.log.requeue({ burns: 'nothing' })).toBe('ok');
    expect(await first.log.requeue({ burns: 'nothing' })).toBe('ok');
    expect((await store.get(job.id))?.state).toBe('queued');

    const second = await run(worker, job, 't2');
    expect(second.claim.job).toMatchObject({ attempt: 2, failures: 0 });
    expect(await second.log.finish(COMPLETED)).toBe('ok');
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(events.map((event) => event.type)).toEqual([
      'queued',
      'started',
      'delta',
      'reset',
      'started',
      'completed',
    ]);
  });

  it('counts the tries that failed', async () => {
    const { store, worker } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const first = await run(worker, job, 't1');
    expect(await first.log.requeue({ burns: 'try' })).toBe('ok');
    const second = await run(worker, job, 't2');
    expect(second.claim.job.failures).toBe(1);
  });
});

describe('deliveries', () => {
  it('of one entry, removed and added again, never look like one', async () => {
    const { store, worker, stores } = await both();
    const tokens: string[] = [];
    worker.consume({
      queue: 'foreground',
      concurrency: 1,
      paused: false,
      async deliver(_entry, { token }) {
        tokens.push(token);
        return { kind: 'done' };
      },
    });
    const job = newJob();
    for (const count of [1, 2, 3]) {
      await store.submit(job, ANYWHERE);
      await waitUntil('it is delivered', () => tokens.length === count);
      await waitUntil('it is gone', async () => (await entriesOf(stores, 'fast')) === 0);
    }
    expect(new Set(tokens).size).toBe(3);
  });
});

describe('heartbeats', () => {
  it('of another version are left out, and hide no other worker', async () => {
    const { store, worker, stores } = await both();
    const status = {
      id: 'w1',
      host: 'h',
      pid: 1,
      slots: 4,
      running: 1,
      breaker: 'closed',
      upstream: 'http://127.0.0.1:1',
      model: 'm',
      max_model_len: null,
      service_ms: null,
    } as const;
    await worker.beat(status);
    const at = Date.now() + 60_000;
    await stores.redis.hset(`${stores.root}:workers:fast`, 'w2', JSON.stringify({ id: 'w2', at }));
    expect((await store.status('fast')).workers).toEqual([status]);
    await worker.leave('w1');
    expect((await store.status('fast')).workers).toEqual([]);
  });
});

describe('fencing', () => {
  it('refuses every write of an attempt that was taken over', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const zombie = await run(worker, job, 't1');
    zombie.log.append({ text: 'old ' });
    await waitUntil('the text is logged', async () => (await store.get(job.id))?.seq === 3);

    const owner = await run(worker, job, 't2');
    expect(owner.claim.job.attempt).toBe(2);
    zombie.log.append({ text: 'ghost' });
    await waitUntil('the zombie is told', () => zombie.stops.length > 0);
    expect(zombie.stops).toEqual(['superseded']);
    expect(await zombie.log.finish(COMPLETED)).toBe('superseded');
    expect(await zombie.log.requeue({ burns: 'nothing' })).toBe('superseded');

    owner.log.append({ text: 'new' });
    expect(await owner.log.finish(COMPLETED)).toBe('ok');
    expect(await zombie.log.finish(COMPLETED)).toBe('superseded');
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(textOf(events)).toBe('new');
    expect(JSON.stringify(events)).not.toContain('ghost');
  });

  it('drops an entry of another epoch, of a finished job and of no job', async () => {
    const { store, worker } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const stale = await claim(worker, job, { epoch: 2 });
    expect(stale).toEqual({ kind: 'drop', reason: 'stale' });
    const { log } = await run(worker, job);
    await log.finish(COMPLETED);
    expect(await claim(worker, job)).toEqual({ kind: 'drop', reason: 'completed' });
    expect(await claim(worker, newJob())).toEqual({ kind: 'drop', reason: 'gone' });
  });

  it('fails a job whose worker died after text, where text must not be sent twice', async () => {
    const { store, worker } = await both();
    const job = newJob({ onInterrupt: 'fail' });
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job, 't1');
    log.append({ text: 'Hel' });
    await waitUntil('the text is logged', async () => (await store.get(job.id))?.seq === 3);
    expect(await claim(worker, job, { token: 't2' })).toEqual({ kind: 'drop', reason: 'failed' });
    expect((await store.get(job.id))?.error?.code).toBe('worker_lost');
  });
});

describe('cancelling', () => {
  it('ends a waiting job, which then never runs', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    expect(await store.cancel(job.id)).toBe('cancelled');
    expect(await store.cancel(job.id)).toBe('cancelled');
    expect((await store.status('fast')).depth).toBe(0);
    expect(await claim(worker, job)).toEqual({ kind: 'drop', reason: 'cancelled' });
    const events = await readLog({ ...stores, jobId: job.id });
    expect(events.at(-1)).toMatchObject({ type: 'cancelled', ran: false, tokens: 0 });
  });

  it('tells the worker of a running job, which can end it in no other way', async () => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job);
    expect(await store.cancel(job.id)).toBe('running');
    await waitUntil('the control message', () => stores.cancelled.includes(job.id));
    log.append({ text: 'late' });
    expect(await log.finish(COMPLETED)).toBe('cancel');
    expect(await log.requeue({ burns: 'try' })).toBe('cancel');
    expect(await log.finish(CANCELLED)).toBe('ok');
    expect(await store.cancel(job.id)).toBe('cancelled');
    const events = await readLog({ ...stores, jobId: job.id });
    checkLog(events);
    expect(events.at(-1)).toEqual(CANCELLED.event);
  });

  it('reaches a worker that missed the message with its next text', async () => {
    const { store, worker } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log, stops } = await run(worker, job);
    await store.cancel(job.id);
    log.append({ text: 'Hel' });
    await waitUntil('the worker is told', () => stops.length > 0);
    expect(stops).toEqual(['cancel']);
  });

  it('ends a job whose worker died before it could', async () => {
    const { store, worker } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    await run(worker, job, 't1');
    await store.cancel(job.id);
    expect(await claim(worker, job, { token: 't2' })).toEqual({
      kind: 'drop',
      reason: 'cancelled',
    });
  });

  it.each([
    ['7', 7],
    ['unknown', null],
    [null, null],
  ])('of a job that was handed back says how many tokens were made: %s', async (made, tokens) => {
    const { store, worker, stores } = await both();
    const job = newJob();
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job);
    await log.requeue({ burns: 'nothing' });
    const record = `${stores.root}:{${job.id}}:job`;
    await (made === null
      ? stores.redis.hdel(record, 'tokens_made')
      : stores.redis.hset(record, 'tokens_made', made));
    expect(await store.cancel(job.id)).toBe('cancelled');
    expect(await store.cancel(job.id)).toBe('cancelled');
    expect(await store.get(job.id)).toMatchObject({ state: 'cancelled', attempt: 1, tokens });
    const events = await readLog({ ...stores, jobId: job.id });
    expect(events.at(-1)).toMatchObject({ type: 'cancelled', ran: true, tokens });
  });

  it('knows nothing of a job that does not exist', async () => {
    const { store } = await producer();
    expect(await store.cancel('job_nope')).toBeNull();
  });
});

describe('deadlines', () => {
  it('expires what was not started in time, by the sweep or by the claim', async () => {
    const { store, worker, stores } = await both();
    const [swept, claimed] = [newJob({ queueTimeoutMs: 1 }), newJob({ queueTimeoutMs: 1 })];
    await store.submit(swept, ANYWHERE);
    await waitUntil('the sweep', async () => {
      await store.sweep();
      return (await store.get(swept.id))?.state === 'expired';
    });
    expect((await store.get(swept.id))?.error).toEqual(jobError('queue_timeout'));
    expect((await store.status('fast')).depth).toBe(0);

    await store.submit(claimed, ANYWHERE);
    const { queueDeadline = 0 } = (await store.get(claimed.id)) ?? {};
    await waitUntil('the deadline', async () => (await redisTimeMs(stores.redis)) > queueDeadline);
    expect(await claim(worker, claimed)).toEqual({ kind: 'drop', reason: 'expired' });
  });

  it('does not expire what was started in time', async () => {
    const { store, worker, stores } = await both();
    const job = newJob({ queueTimeoutMs: 300 });
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job);
    const { queueDeadline = 0 } = (await store.get(job.id)) ?? {};
    await waitUntil('the deadline', async () => (await redisTimeMs(stores.redis)) > queueDeadline);
    await store.sweep();
    expect(await log.requeue({ burns: 'try' })).toBe('ok');
    await store.sweep();
    expect((await store.get(job.id))?.state).toBe('queued');
    const again = await run(worker, job, 't2');
    expect(again.claim.job.attempt).toBe(2);
  });

  it('does not start again what has used up its time', async () => {
    const { store, worker } = await both();
    const job = newJob({ runTimeoutMs: 1 });
    await store.submit(job, ANYWHERE);
    const { log } = await run(worker, job, 't1');
    expect(await log.requeue({ burns: 'try' })).toBe('ok');
    const dropped = await waitUntil('the time is up', async () => {
      const next = await claim(worker, job, { token: crypto.randomUUID() });
      return next.kind === 'drop' ? next : null;
    });
    expect(dropped).toEqual({ kind: 'drop', reason: 'failed' });
    expect((await store.get(job.id))?.error?.code).toBe('run_timeout');
  });
});

async function redisTimeMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Number(micros) / 1_000;
}

async function producer() {
  const stores = createStores();
  return { stores, store: await stores.producer() };
}

async function both() {
  const stores = createStores();
  const [store, worker] = await Promise.all([stores.producer(), stores.worker()]);
  return { stores, store, worker };
}

function claim(worker: WorkerStore, job: NewJob, { epoch = 1, token = 't1' } = {}): Promise<Claim> {
  return worker.claim({ jobId: job.id, epoch, class: job.class }, { worker: 'w', token });
}

async function run(
  worker: WorkerStore,
  job: NewJob,
  token = 't1',
): Promise<{ claim: Extract<Claim, { kind: 'run' }>; log: AttemptLog; stops: StopReason[] }> {
  const claimed = await claim(worker, job, { token });
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  const stops: StopReason[] = [];
  return { claim: claimed, stops, log: claimed.openLog((reason) => stops.push(reason)) };
}
