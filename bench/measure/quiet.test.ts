import { expect, it } from 'vitest';
import { createGate, foreignShare } from './quiet.ts';
import type { Looked } from './quiet.ts';

const CORES = 2;
const QUIET = new AbortController().signal;

/** A machine on which others take such a share of all cores, one after another. */
function machine(shares: readonly number[]) {
  let atMs = 0;
  let busyNs = 0;
  let next = 0;
  const looks: number[] = [];
  const pass = (ms: number) => {
    const share = shares[Math.min(next, shares.length - 1)] ?? 0;
    next += 1;
    atMs += ms;
    busyNs += share * ms * 1e6 * CORES;
  };
  return {
    looks,
    pass,
    deps: {
      cores: CORES,
      look: async (): Promise<Looked> => {
        looks.push(atMs);
        return { atMs, busyNs, ownNs: 0 };
      },
      pause: async (ms: number) => pass(ms),
    },
  };
}

it('counts as foreign what is busy and not ours, of all cores', () => {
  const before = { atMs: 0, busyNs: 0, ownNs: 0 };
  const after = { atMs: 1_000, busyNs: 1.5e9, ownNs: 0.5e9 };
  expect(foreignShare(before, after, CORES)).toBeCloseTo(0.5);
  expect(foreignShare(before, { ...after, ownNs: 1.6e9 }, CORES)).toBe(0);
  expect(foreignShare(before, before, CORES)).toBe(0);
});

it('waits until the machine is idle twice in a row', async () => {
  const { deps, looks } = machine([0.5, 0, 0.5, 0, 0, 0.5]);
  await createGate(deps).untilQuiet(QUIET);
  expect(looks).toHaveLength(6);
});

it('does not wait for ever', async () => {
  const { deps, looks } = machine([0.9]);
  await createGate(deps).untilQuiet(QUIET);
  expect(looks.at(-1)).toBeGreaterThanOrEqual(10_000);
  expect(looks.at(-1)).toBeLessThan(10_500);
});

it('takes a slice again while others work, and says how often', async () => {
  const { deps, pass } = machine([0, 0, 0.3, 0, 0, 0.05]);
  const slices = ['noisy', 'clean'];
  const take = async () => {
    pass(1_000);
    return slices.shift();
  };
  const taken = await createGate(deps).take(take, QUIET);
  expect(taken.slice).toBe('clean');
  expect(taken.thrownAway).toBe(1);
  expect(taken.foreignShare).toBeCloseTo(0.05);
});

it('gives up after three, and keeps the one that was the cleanest', async () => {
  const { deps, pass } = machine([0, 0, 0.4, 0, 0, 0.2, 0, 0, 0.3]);
  let count = 0;
  const take = async () => {
    pass(1_000);
    count += 1;
    return count;
  };
  const taken = await createGate(deps).take(take, QUIET);
  expect(taken).toMatchObject({ slice: 2, thrownAway: 2 });
});
