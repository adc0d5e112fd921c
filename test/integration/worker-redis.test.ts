/** Workers whose Redis goes away while they run jobs. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkerStore } from '@qarr/job-store';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkLog, textOf } from '../harness/job-log.ts';
import { createOwnRedis } from '../harness/own-redis.ts';
import { createStores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerWorld } from '../harness/worker-world.ts';

/** Longer than the lock of an entry lasts, so that the queue gives up every worker. */
const OUTAGE_MS = 8_000;
/** Some seconds more than that. */
const TOKENS = 800;

it(
  'go on when it has started anew or stood still, and nobody has died of that',
  { timeout: 150_000 },
  async () => {
    const world = await startWorkerWorld();
    const workers = [await world.startWorker(), await world.startWorker()];
    await waitUntil(
      'both are heard of',
      async () => (await world.store.status('fast')).workers.length === workers.length,
    );
    const job = await world.submit({ tokens: TOKENS });
    await world.sees(job, 'delta');
    await world.redis.restart();
    const before = (await world.events(job)).length;
    await waitUntil('text comes', async () => (await world.events(job)).length > before);
    const afterRestart = await world.submit({ tokens: 3 });
    await world.sees(afterRestart, 'completed');

    world.redis.freeze();
    await sleep(OUTAGE_MS);
    world.redis.thaw();
    const afterFreeze = await world.submit({ tokens: 3 });
    await world.sees(afterFreeze, 'completed');
    await world.sees(job, 'completed');
    const events = await world.events(job);
    checkLog(events, { isCarriedOn: true });
    const undisturbed = await world.submit({ tokens: TOKENS });
    await world.sees(undisturbed, 'completed');
    expect(textOf(events)).toBe(textOf(await world.events(undisturbed)));
    expect(await world.stores.redis.hget(`qarr:{${job}}:job`, 'deaths')).toBe('0');
  },
);

/** It waits for entries, as an idle worker does. */
async function idle() {
  const redis = await createOwnRedis();
  const stores = createStores({ redisUrl: redis.url });
  const worker = await stores.worker();
  worker.consume({ concurrency: 2, paused: false, deliver: async () => ({ kind: 'done' }) });
  await waitUntil('it waits', async () =>
    String(await stores.redis.client('LIST')).includes('cmd=bzpopmin'),
  );
  return { redis, worker };
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
    const { redis, worker } = await idle();
    await redis.stop();
    await canBeLeft(worker);
  });
});

/** It has three seconds of patience with BullMQ, and somewhat less with each connection. */
async function canBeLeft(worker: WorkerStore): Promise<void> {
  const stopped = worker.stop().then(() => true);
  expect(await Promise.race([stopped, sleep(15_000, false)])).toBe(true);
}
