/** A short run of the whole: real processes, all faults, and nothing lost. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FAULTS } from './nemesis/faults.ts';
import { runChaos } from './run.ts';
import type { RunOutcome, RunPlan } from './run.ts';
import { FULL_WORLD } from './world/shape.ts';

const TIMEOUT_MS = 300_000;

const PLAN: RunPlan = {
  seed: 'a short one',
  loadMs: 12_000,
  quietMs: 120_000,
  readersMs: 30_000,
  settleMs: 30_000,
  perSecond: 5,
  shape: FULL_WORLD,
  mix: {
    gentle: false,
    tiers: FULL_WORLD.tiers.map(({ name }) => name),
    keys: true,
    deletes: true,
    lists: true,
    maxTokens: [1, 200],
    endless: 0.5,
  },
  nemesis: { kind: 'faults', faults: FAULTS, pauseMs: [300, 1_200] },
  source: join(import.meta.dirname, '../..'),
  historyPath: null,
};

test(
  'loses nothing and doubles nothing, whatever dies in between',
  { timeout: TIMEOUT_MS },
  async () => {
    const outcome = await runChaos(PLAN);
    expectKept(outcome);
    expect(Object.keys(outcome.tally.faults).length).toBeGreaterThan(4);
  },
);

function expectKept({ tally, violations, mistakes }: RunOutcome): void {
  expect(violations).toEqual([]);
  expect(mistakes).toEqual([]);
  expect(tally).toMatchObject({ lost: 0, unexpected: 0, duplicated: 0 });
  expect(tally.acknowledged).toBeGreaterThan(20);
  expect(tally.ok).toBe(tally.acknowledged);
}
