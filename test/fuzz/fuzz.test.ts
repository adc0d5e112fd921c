/** A short fuzz run: `npm run fuzz` is a long one. */
import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startFuzzWorld } from './fuzz.ts';
import type { FuzzWorld } from './fuzz.ts';

const SEED = 20_261_128;
const BATCHES = 70;

let world: FuzzWorld;
beforeAll(async () => {
  world = await startFuzzWorld();
});
afterAll(() => world.stop());

it('finds nothing in what it always draws, which is of every kind', async () => {
  const { failure, operations } = await world.run({ seed: SEED, batches: BATCHES });
  expect(failure).toBeNull();
  // Else nothing was tested.
  const alone = operations.filter(({ name }) => !name.includes('{'));
  expect(alone.filter(({ taken }) => taken === 0)).toEqual([]);
  expect(operations.filter(({ taken, refused }) => taken + refused === 0)).toEqual([]);
});

const seed = randomInt(2 ** 31);
it(`finds nothing with the seed ${seed}`, async () => {
  const { failure } = await world.run({ seed, batches: BATCHES });
  expect(failure).toBeNull();
});
