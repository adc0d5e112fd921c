import { expect, it } from 'vitest';
import { createTurns } from './turns.ts';

it('lets so many at once, and the others in their order', async () => {
  const turns = createTurns(2);
  const never = new AbortController().signal;
  const order: number[] = [];
  const first = await turns.take(never);
  const second = await turns.take(never);
  const third = turns.take(never).then((end) => (order.push(3), end));
  const fourth = turns.take(never).then((end) => (order.push(4), end));
  await Promise.resolve();
  expect(order).toEqual([]);
  first?.();
  (await third)?.();
  (await fourth)?.();
  second?.();
  expect(order).toEqual([3, 4]);
  expect(await turns.take(never)).not.toBeNull();
});

it('does not keep who leaves, nor lose a turn to them', async () => {
  const turns = createTurns(1);
  const never = new AbortController().signal;
  const leaving = new AbortController();
  const first = await turns.take(never);
  const second = turns.take(leaving.signal);
  const third = turns.take(never);
  leaving.abort();
  expect(await second).toBeNull();
  first?.();
  expect(await third).not.toBeNull();
  expect(await turns.take(leaving.signal)).toBeNull();
});
