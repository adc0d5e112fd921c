/** Workers whose Redis goes away while they run jobs. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerStore } from '@qarr/job-store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkLog, textOf } from '../harness/job-log.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { createStores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';
import type { WorkerWorld } from '../harness/worker-world.ts';

/** Longer than the lock of an entry lasts, so that the queue gives up every worker. */
const OUTAGE_MS = 8_000;
/** Some seconds of text. */
const TOKENS = 300;

/** Two workers that have been heard of. */
async function startTwo(): Promise<WorkerWorld> {
  const world = await startWorkerWorld();
  await Promise.all([world.startWorker(), world.startWorker()]);
  await waitUntil(
    'both are heard of',
    async () => (await world.store.status('fast')).workers.length === 2,
  );
  return world;
}

/** The job had its text, nobody has died of it, and workers take new jobs. */
async function isUnharmed(world: WorkerWorld, job: string): Promise<number> {
  const next = await world.submit({ tokens: TOKENS });
  await world.sees(next, 'completed');
  await world.sees(job, 'completed');
  const events = await world.events(job);
  checkLog(events, { isCarriedOn: true });
  expect(textOf(events)).toBe(textOf(await world.events(next)));
  const burnt = await world.stores.redis.hmget(`qarr:{${job}}:job`, 'failures', 'deaths');
  expect(burnt).toEqual(['0', '0']);
  return events.filter(({ type }) => type === 'started').length;
}

describe('workers whose Redis', () => {
  it('starts anew go on with what they run', { timeout: 120_000 }, async () => {
    const world = await startTwo();
    const job = await world.submit({ tokens: TOKENS });
    await world.sees(job, 'delta');
    await world.redis.restart();
    expect(await isUnharmed(world, job)).toBe(1);
  });

  it(
    'stands still for long take jobs over, and nobody has died',
    { timeout: 120_000 },
    async () => {
      const world = await startTwo();
      // Its first request lasts longer than the outage.
      const stall = { fault: 'stall', params: { after: 20, ms: 25_000 }, times: 1 };
      await world.engine.fault(stall);
      const job = await world.submit({ tokens: TOKENS });
      await world.sees(job, 'delta');
      world.redis.freeze();
      await sleep(OUTAGE_MS);
      world.redis.thaw();
      expect(await isUnharmed(world, job)).toBeGreaterThan(1);
    },
  );
});

/** It waits for entries, as an idle worker does. */
async function idle() {
  const redis = await createOwnRedis();
  const stores = createStores({ redisUrl: redis.url });
  const worker = await stores.worker();
  worker.consume({
    queue: 'foreground',
    concurrency: 2,
    paused: false,
    deliver: async () => ({ kind: 'done' }),
  });
  await waitUntil('it waits', async () =>
    String(await stores.redis.client('LIST')).includes('cmd=bzpopmin'),
  );
  return { redis, stores, worker };
}

describe('a store whose Redis does not answer any more', () => {
  it('can be left while that stands still', async () => {
    const { redis, worker } = await idle();
    redis.freeze();
    // Tidying up needs it.
    onTestFinished(() => void redis.thaw());
    await canBeLeft(worker);
  });

  it('can be left when that is gone', async () => {
    const { redis, stores, worker } = await idle();
    await redis.stop();
    await waitUntil('that is noticed', () => stores.redis.status !== 'ready');
    await canBeLeft(worker);
  });
});

/** It has three seconds of patience with BullMQ, and somewhat less with each connection. */
async function canBeLeft(worker: WorkerStore): Promise<void> {
  const stopped = worker.stop().then(() => true);
  expect(await Promise.race([stopped, sleep(15_000, false)])).toBe(true);
}
