import type { Consumer, Delivery } from '@qarr/job-store';
import { expect, it, onTestFinished } from 'vitest';
import { createStores, newJob } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

const JOBS = 6;

/** Jobs that wait, and a consumer whose deliveries end when the test says so. */
async function begun({ concurrency }: { concurrency: number }) {
  const stores = createStores();
  const producer = await stores.producer();
  const worker = await stores.worker();
  for (let job = 0; job < JOBS; job += 1) {
    await producer.submit(newJob(), () => ({ position: 1, estimatedWaitMs: null }));
  }
  const open: ((delivery: Delivery) => void)[] = [];
  let delivered = 0;
  const consumer: Consumer = worker.consume({
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
