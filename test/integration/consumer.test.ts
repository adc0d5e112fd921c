import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, Delivery } from '@qarr/job-store';
import { expect, it, onTestFinished } from 'vitest';
import { ANYWHERE, createStores, newJob } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const JOBS = 6;

/** Jobs that wait, and a consumer whose deliveries end when the test says so. */
async function begun({ concurrency }: { concurrency: number }) {
  const stores = createStores();
  const producer = await stores.producer();
  const worker = await stores.worker();
  for (let job = 0; job < JOBS; job += 1) {
    await producer.submit(newJob(), ANYWHERE);
  }
  const open: ((delivery: Delivery) => void)[] = [];
  let delivered = 0;
  const consumer: Consumer = worker.consume({
    queue: 'foreground',
    concurrency,
    paused: true,
    deliver() {
      delivered += 1;
      const { promise, resolve } = Promise.withResolvers<Delivery>();
      open.push(resolve);
      return promise;
    },
  });
  const finish = () => open.shift()?.({ kind: 'done' });
  onTestFinished(async () => {
    await consumer.pause();
    while (open.length > 0) finish();
  });
  const runs = (count: number) =>
    waitUntil(`${count} run`, () => consumer.running === count && delivered >= count);
  return { consumer, runs, finish, delivered: () => delivered };
}

it('pulls more as soon as it may, though what runs goes on', async () => {
  const { consumer, runs } = await begun({ concurrency: 1 });
  await consumer.resume();
  await runs(1);
  await consumer.setConcurrency(4);
  await runs(4);
});

it('pulls nothing new before enough has ended, when it may have less', async () => {
  const { consumer, runs, finish, delivered } = await begun({ concurrency: 3 });
  await consumer.resume();
  await runs(3);
  await consumer.setConcurrency(1);
  finish();
  finish();
  await runs(1);
  expect(delivered()).toBe(3);
  finish();
  await waitUntil('the next one comes', () => delivered() === 4);
  await runs(1);
});

it('stays paused, whatever it may have', async () => {
  const { consumer, runs, finish, delivered } = await begun({ concurrency: 1 });
  await consumer.setConcurrency(2);
  await consumer.resume();
  await runs(2);
  await consumer.pause();
  await consumer.setConcurrency(5);
  finish();
  finish();
  await runs(0);
  expect(delivered()).toBe(2);
  await consumer.resume();
  await runs(4);
});

it('does not keep an entry from others that it hands back while it pauses', async () => {
  const stores = createStores();
  const [producer, pausing, other] = [
    await stores.producer(),
    await stores.worker(),
    await stores.worker(),
  ];
  const held = Promise.withResolvers<Delivery>();
  const [delivered, taken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const first = pausing.consume({
    queue: 'foreground',
    // A second slot, for which it goes on waiting in a call of its own.
    concurrency: 2,
    paused: false,
    deliver() {
      delivered.resolve();
      return held.promise;
    },
  });
  await producer.submit(newJob(), ANYWHERE);
  await delivered.promise;
  await blocked(stores, 1);
  other.consume({
    queue: 'foreground',
    concurrency: 1,
    paused: false,
    async deliver() {
      taken.resolve();
      return { kind: 'done' };
    },
  });
  await blocked(stores, 2);
  await first.pause();
  // Due later: whoever is woken now must remember it, and one that pauses does not.
  held.resolve({ kind: 'again', delayMs: 300 });
  const isTaken = taken.promise.then(() => true);
  // An idle worker looks by itself after a second, when nothing has woken it.
  expect(await Promise.race([isTaken, sleep(3_000, false)])).toBe(true);
});

/** So many connections wait in a blocking call. */
async function blocked({ redis }: Stores, count: number): Promise<void> {
  await waitUntil(`${count} wait`, async () => {
    const clients = String(await redis.client('LIST'));
    return clients.split('\n').filter((line) => line.includes('cmd=bzpopmin')).length >= count;
  });
}
