import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createPulling } from './pulling.ts';

/** A consumer each of whose calls takes the next of these numbers of microtasks. */
function createFakeConsumer(delays: readonly number[] = []) {
  const calls: string[] = [];
  let isPaused = true;
  let concurrency = 1;
  async function call(name: string, act: () => void): Promise<void> {
    await microtasks(delays[calls.length % delays.length] ?? 0);
    calls.push(name);
    act();
  }
  return {
    calls,
    get pulls() {
      return isPaused ? 0 : concurrency;
    },
    pause: () => call('pause', () => (isPaused = true)),
    resume: () => call('resume', () => (isPaused = false)),
    setConcurrency: (next: number) => call(`concurrency ${next}`, () => (concurrency = next)),
  };
}

async function microtasks(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await Promise.resolve();
}

it('pulls nothing at first, then as much as is wanted', async () => {
  const consumer = createFakeConsumer();
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
  const delays = fc.array(fc.nat(5), { minLength: 1, maxLength: 8 });
  const wishes = fc.array(fc.record({ wish: fc.nat(3), after: fc.nat(30) }), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(delays, wishes, async (consumerDelays, all) => {
      const consumer = createFakeConsumer(consumerDelays);
      let wanted = 0;
      const pulling = createPulling(consumer, () => wanted);
      const followed: Promise<void>[] = [];
      for (const { wish, after } of all) {
        await microtasks(after);
        wanted = wish;
        followed.push(pulling.follow());
      }
      await Promise.all(followed);
      expect(consumer.pulls).toBe(wanted);
    }),
    { numRuns: 1_000 },
  );
});

it('rejects when the consumer cannot follow', async () => {
  const consumer = createFakeConsumer();
  consumer.resume = () => Promise.reject(new Error('cannot resume'));
  const pulling = createPulling(consumer, () => 1);
  await expect(pulling.follow()).rejects.toThrow('cannot resume');
});
