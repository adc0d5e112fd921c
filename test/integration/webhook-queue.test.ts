/** Which ends of jobs are to be announced, from the record to whoever delivers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createWebhookConsumer } from '@qarr/job-store';
import type { DueWebhook, ProducerStore, WebhookVerdict, WorkerStore } from '@qarr/job-store';
import { jobError } from '@qarr/router-core';
import type { NewJob } from '@qarr/router-core';
import { describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { tracesOf } from '../harness/redis-traces.ts';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const TIMINGS = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const ALL = ['completed', 'failed', 'cancelled', 'expired'] as const;
const PROMPT = 'CANARY of the prompt';

interface World {
  stores: Stores;
  producer: ProducerStore;
  worker: WorkerStore;
}

async function start(): Promise<World> {
  const stores = createStores();
  const producer = await stores.producer({ mendAfterMs: 0 });
  return { stores, producer, worker: await stores.worker() };
}

const asking = (fields: Partial<NewJob> = {}) =>
  newJob({
    webhook: { url: 'https://example.com/?CANARY', events: ALL },
    request: { messages: [{ role: 'user', content: PROMPT }], max_tokens: 1, temperature: 0 },
    metadata: { order: '7' },
    ...fields,
  });

const entryKey = ({ stores }: World, jobId: string) =>
  `{${stores.root}:_webhooks}:evt_${jobId.slice('job_'.length)}`;

const entryOf = (world: World, jobId: string) =>
  waitUntil('the entry', () => world.stores.redis.hget(entryKey(world, jobId), 'data'));

/** Claims it so often, or until that ends it. */
async function claim({ worker }: World, jobId: string, times = 1) {
  for (let time = 1; ; time += 1) {
    const claimed = await worker.claim(
      { jobId, epoch: 1, class: 'standard' },
      {
        worker: 'w',
        token: `token-${time}`,
      },
    );
    if (claimed.kind === 'drop' || time === times) return claimed;
  }
}

async function finish(world: World, jobId: string, type: 'completed' | 'failed' | 'cancelled') {
  const claimed = await claim(world, jobId);
  if (claimed.kind !== 'run') throw new Error(`not claimed: ${claimed.kind}`);
  const nothing = { usage: null, timings: TIMINGS };
  const events = {
    completed: { type: 'completed', finish_reason: 'stop', ...nothing },
    failed: { type: 'failed', error: jobError('upstream_error'), ...nothing },
    cancelled: { type: 'cancelled', ran: true, tokens: 1, ...nothing },
  } as const;
  const log = claimed.openLog(() => {});
  log.append({ text: 'CANARY of the output' });
  expect(
    await log.finish({
      event: events[type],
      ...(type === 'completed' ? { result: { text: 'Hi', finish_reason: 'stop' } } : {}),
    }),
  ).toBe('ok');
}

const expiring = { queueTimeoutMs: 1 };
const briefly = { runTimeoutMs: 1 };

describe('the end of a job is to be announced', () => {
  it.each<[string, string, Partial<NewJob>, (world: World, id: string) => Promise<unknown>]>([
    ['its worker completes it', 'completed', {}, (world, id) => finish(world, id, 'completed')],
    ['its worker fails it', 'failed', {}, (world, id) => finish(world, id, 'failed')],
    [
      'its worker obeys a cancellation',
      'cancelled',
      {},
      (world, id) => finish(world, id, 'cancelled'),
    ],
    ['it is cancelled while it waits', 'cancelled', {}, ({ producer }, id) => producer.cancel(id)],
    ['a claim finds it expired', 'expired', expiring, (world, id) => claim(world, id)],
    ['a claim finds its time over', 'failed', briefly, (world, id) => claim(world, id, 50)],
    ['the sweep finds it expired', 'expired', expiring, ({ producer }) => producer.sweep()],
  ])('when %s', async (_name, state, fields, end) => {
    const world = await start();
    const job = asking(fields);
    await world.producer.submit(job, ANYWHERE);
    await waitUntil('its time is over', async () => {
      const due = await world.stores.redis.zscore(`${world.stores.root}:deadlines`, job.id);
      return job.queueTimeoutMs > 1 || Number(due) < Date.now() - 20;
    });
    await end(world, job.id);
    expect(JSON.parse(await entryOf(world, job.id))).toEqual({
      jobId: job.id,
      failures: 0,
      notBefore: 0,
    });
    expect((await world.producer.get(job.id))?.state).toBe(state);
    await waitUntil('it is no longer open', async () => {
      return (await world.stores.redis.zscore(`${world.stores.root}:open`, job.id)) === null;
    });
    expect(await world.producer.webhookBacklog()).toBe(1);
  });

  it('not when it asks for nothing, or for other ends', async () => {
    const world = await start();
    const silent = newJob();
    const other = asking({
      webhook: { url: 'https://example.com/', events: ['failed', 'expired'] },
    });
    for (const job of [silent, other]) {
      await world.producer.submit(job, ANYWHERE);
      await finish(world, job.id, 'completed');
      await waitUntil('it is closed', async () => {
        return (await world.stores.redis.zscore(`${world.stores.root}:open`, job.id)) === null;
      });
    }
    expect(await world.producer.webhookBacklog()).toBe(0);
  });

  it('also when a process dies between the end and the entry', async () => {
    const world = await start();
    const job = asking();
    const { redis, root } = world.stores;
    await world.producer.submit(job, ANYWHERE);
    await finish(world, job.id, 'completed');
    await entryOf(world, job.id);
    await waitUntil(
      'it is closed',
      async () => (await redis.zscore(`${root}:open`, job.id)) === null,
    );
    // As it lies when nothing of closing was done.
    await redis.del(...(await redis.keys(`{${root}:_webhooks}:*`)));
    await redis.zadd(`${root}:open`, 1, job.id);
    await waitUntil('a sweep adds it', async () => {
      await world.producer.sweep();
      return redis.exists(entryKey(world, job.id));
    });
    expect(await redis.zscore(`${root}:open`, job.id)).toBeNull();
  });

  it('also when its entry cannot be written at first', async () => {
    const world = await start();
    const job = asking();
    const { redis, root, errors } = world.stores;
    await world.producer.submit(job, ANYWHERE);
    const meta = `{${root}:_webhooks}:meta`;
    await redis.del(meta);
    await redis.set(meta, 'not what the queue expects');
    await world.producer.cancel(job.id);
    await waitUntil('it fails', () => errors.length);
    expect(await redis.zscore(`${root}:open`, job.id)).not.toBeNull();
    await redis.del(meta);
    await waitUntil('a sweep adds it', async () => {
      await world.producer.sweep();
      return redis.exists(entryKey(world, job.id));
    });
  });

  it('once, however many find that it has ended', async () => {
    const world = await start();
    const job = asking();
    await world.producer.submit(job, ANYWHERE);
    await Promise.all([1, 2, 3, 4].map(() => world.producer.cancel(job.id)));
    expect(await world.producer.webhookBacklog()).toBe(1);
  });
});

/** Consumers are stopped when the test ends. */
async function consume(
  { stores }: World,
  deliver: (webhook: DueWebhook) => Promise<WebhookVerdict> | WebhookVerdict,
) {
  const drops: string[] = [];
  const consumer = await createWebhookConsumer({
    redisUrl: inject('redisUrl'),
    root: stores.root,
    concurrency: 8,
    deliver: async (webhook) => deliver(webhook),
    onDrop: (id, why) => void drops.push(`${id} ${why}`),
    onError: (error) => void stores.errors.push(error),
  });
  let stopping: Promise<void> | null = null;
  const stop = (graceMs = 0) => (stopping ??= consumer.stop({ graceMs }));
  onTestFinished(() => stop());
  return { drops, stop };
}

async function ended(world: World, fields: Partial<NewJob> = {}): Promise<NewJob> {
  const job = asking(fields);
  await world.producer.submit(job, ANYWHERE);
  await finish(world, job.id, 'failed');
  await entryOf(world, job.id);
  return job;
}

describe('whoever delivers', () => {
  it('gets what a webhook says, and neither the request nor the result', async () => {
    const world = await start();
    const job = await ended(world);
    const got: DueWebhook[] = [];
    await consume(world, (webhook) => {
      got.push(webhook);
      return { kind: 'done' };
    });
    const due = await waitUntil('a delivery', () => got[0]);
    expect(due).toMatchObject({ failures: 0, keptMs: expect.any(Number) });
    expect(due.keptMs).toBeGreaterThan(86_000_000);
    expect(Math.abs(due.now - Date.now())).toBeLessThan(5_000);
    expect(due.ended).toEqual({
      kind: 'job',
      id: job.id,
      eventId: `evt_${job.id.slice(4)}`,
      state: 'failed',
      tier: 'fast',
      metadata: { order: '7' },
      createdAt: expect.any(Number),
      finishedAt: expect.any(Number),
      url: 'https://example.com/?CANARY',
      errorCode: 'upstream_error',
    });
    await waitUntil('nothing is left', async () => (await world.producer.webhookBacklog()) === 0);
  });

  it('gets it again, with the same id and one failure more', async () => {
    const world = await start();
    await ended(world);
    const got: DueWebhook[] = [];
    await consume(world, (webhook) => {
      got.push(webhook);
      if (got.length === 1) return { kind: 'again', delayMs: 5, hasFailed: false };
      return got.length < 4 ? { kind: 'again', delayMs: 5, hasFailed: true } : { kind: 'done' };
    });
    await waitUntil('four deliveries', () => got.length === 4);
    expect(got.map(({ failures }) => failures)).toEqual([0, 0, 1, 2]);
    expect(new Set(got.map(({ ended: { eventId } }) => eventId)).size).toBe(1);
  });

  it('gets it again after an error that nobody foresaw', async () => {
    const world = await start();
    await ended(world);
    let deliveries = 0;
    await consume(world, () => {
      deliveries += 1;
      if (deliveries === 1) throw new Error('unforeseen');
      return { kind: 'done' };
    });
    await waitUntil('a second delivery', () => deliveries === 2);
    expect(world.stores.errors.map(({ message }) => message)).toEqual(['unforeseen']);
  });

  it('does not get the end of a job that was deleted', async () => {
    const world = await start();
    const job = await ended(world);
    await world.stores.redis.del(`${world.stores.root}:{${job.id}}:job`);
    let deliveries = 0;
    const { drops } = await consume(world, () => {
      deliveries += 1;
      return { kind: 'done' };
    });
    await waitUntil('it is dropped', () => drops.length);
    expect([drops, deliveries]).toEqual([[`${job.id} gone`], 0]);
    await waitUntil('nothing is left', async () => (await world.producer.webhookBacklog()) === 0);
  });

  it('finds no trace of a job that was deleted before', async () => {
    const world = await start();
    const job = await ended(world);
    await entryOf(world, job.id);
    expect(await world.producer.delete(job.id)).toBe(true);
    expect(await world.producer.webhookBacklog()).toBe(0);
    expect(await tracesOf(world.stores.redis, job.id.slice('job_'.length))).toEqual([]);
  });

  it('does not get one that has lost its replica again and again', async () => {
    const world = await start();
    const job = await ended(world);
    // BullMQ's own count of how often it was found without a lock.
    await world.stores.redis.hset(entryKey(world, job.id), 'stc', 11);
    let deliveries = 0;
    const { drops } = await consume(world, () => {
      deliveries += 1;
      return { kind: 'done' };
    });
    await waitUntil('it is dropped', () => drops.length);
    expect([drops, deliveries]).toEqual([[`${job.id} stalled`], 0]);
  });

  it('never gets it too early, even where its clock is two minutes ahead', async () => {
    const world = await start();
    const job = await ended(world);
    let deliveries = 0;
    const deliver = (): WebhookVerdict => {
      deliveries += 1;
      return { kind: 'again', delayMs: 60_000, hasFailed: true };
    };
    const first = await consume(world, deliver);
    const notBefore = () => world.stores.redis.hget(entryKey(world, job.id), 'data');
    await waitUntil('it is put off', async () => (await notBefore())?.includes('"failures":1'));
    await first.stop();

    const { now } = Date;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now() + 120_000);
    onTestFinished(() => clock.mockRestore());
    await consume(world, deliver);
    const delayed = `{${world.stores.root}:_webhooks}:delayed`;
    const before = Number(
      await world.stores.redis.zscore(delayed, entryKey(world, job.id).split(':').at(-1) ?? ''),
    );
    // This clock lets it out at once; it is delayed anew by as much as is left.
    await waitUntil('it is put off again', async () => {
      const score = await world.stores.redis.zscore(
        delayed,
        entryKey(world, job.id).split(':').at(-1) ?? '',
      );
      return score !== null && Number(score) > before;
    });
    expect(deliveries).toBe(1);
  });

  it('gives back what is under way when it stops, to be delivered by another', async () => {
    const world = await start();
    await ended(world);
    let [begun, aborted] = [0, 0];
    const first = await consume(world, async ({ signal }) => {
      begun += 1;
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      aborted += 1;
      return { kind: 'again', delayMs: 0, hasFailed: false };
    });
    await waitUntil('it is under way', () => begun);
    await first.stop();
    expect(aborted).toBe(1);
    const got: DueWebhook[] = [];
    await consume(world, (webhook) => {
      got.push(webhook);
      return { kind: 'done' };
    });
    await waitUntil('another delivers', () => got.length);
    expect(got[0]?.failures).toBe(0);
  });

  it('may end what is under way in its grace', async () => {
    const world = await start();
    await ended(world);
    const release = Promise.withResolvers<void>();
    let begun = 0;
    const { stop } = await consume(world, async ({ signal }) => {
      begun += 1;
      await release.promise;
      return signal.aborted ? { kind: 'again', delayMs: 0, hasFailed: false } : { kind: 'done' };
    });
    await waitUntil('it is under way', () => begun);
    const stopped = stop(20_000);
    // Longer than it would take to be given back.
    await sleep(50);
    release.resolve();
    await stopped;
    expect(await world.producer.webhookBacklog()).toBe(0);
  });
});
