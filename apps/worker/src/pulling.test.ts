import { setImmediate as turn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createPulling } from './pulling.ts';

/** A consumer that takes its time, and knows what it was told. */
function createFakeConsumer(schedule: (wait: Promise<void>) => Promise<void>) {
  const calls: string[] = [];
  let isPaused = true;
  let concurrency = 1;
  const after = (call: string, act: () => void) => async () => {
    await schedule(Promise.resolve());
    calls.push(call);
    act();
  };
  return {
    calls,
    get pulls() {
      return isPaused ? 0 : concurrency;
    },
    pause: after('pause', () => (isPaused = true)),
    resume: after('resume', () => (isPaused = false)),
    setConcurrency: (next: number) => after(`concurrency ${next}`, () => (concurrency = next))(),
  };
}

it('pulls nothing at first, then as much as is wanted', async () => {
  const consumer = createFakeConsumer((wait) => wait);
  let wanted = 0;
  const pulling = createPulling(consumer, () => wanted);
  await pulling.follow();
  expect(consumer.calls).toEqual([]);
  for (wanted of [4, 4, 2, 0, 0, 3]) await pulling.follow();
  expect(consumer.calls).toEqual([
    'concurrency 4',
    'resume',
    'concurrency 2',
    'pause',
    'concurrency 3',
    'resume',
  ]);
});

it('ends with the last wish, whatever came while it followed the ones before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.nat(3), { minLength: 1, maxLength: 12 }),
      async (scheduler, wishes) => {
        const consumer = createFakeConsumer((wait) => scheduler.schedule(wait));
        let wanted = 0;
        const pulling = createPulling(consumer, () => wanted);
        const made = scheduler.scheduleSequence(
          wishes.map((wish) => async () => {
            wanted = wish;
            void pulling.follow();
          }),
        );
        await scheduler.waitFor(made.task);
        await scheduler.waitFor(pulling.follow());
        expect(consumer.pulls).toBe(wanted);
      },
    ),
  );
});

it('rejects when the consumer cannot follow', async () => {
  const consumer = { ...createFakeConsumer((wait) => wait) };
  consumer.resume = async () => {
    await turn();
    throw new Error('cannot resume');
  };
  const pulling = createPulling(consumer, () => 1);
  await expect(pulling.follow()).rejects.toThrow('cannot resume');
});
