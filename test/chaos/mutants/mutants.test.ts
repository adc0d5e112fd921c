/**
 * Check the checker: each planted bug is found, in seconds, by the invariant that it breaks.
 *
 * Each is a whole system of its own, so some are run; `npm run mutants` runs all.
 */
import { beforeAll, expect, test } from 'vitest';
import { FROZEN_RUN } from './attempts.ts';
import { MUTANTS, IN_EVERY_RUN } from './mutants.ts';
import type { Mutant } from './mutant.ts';
import { runMutant } from './run-mutant.ts';
import type { RunOutcome } from '../run.ts';

/** Each is four or five processes that mostly wait. */
const AT_ONCE = 3;
/** Some seconds each; a machine may have other things to do. */
const TIMEOUT_MS = 300_000;
/**
 * A bug that shows only when a worker wakes at the wrong moment may not meet it in one run. One that
 * is not found in three is not found.
 */
const RUNS_MAX = 3;

const planted = process.env['QARR_ALL_MUTANTS'] === undefined ? IN_EVERY_RUN : MUTANTS;

/** The same haste, and the faults that show most. */
const CONTROL = { name: 'nothing', edits: [], ...FROZEN_RUN };

const outcomes = new Map<string, Promise<RunOutcome>>();
beforeAll(() => {
  let free = Array.from({ length: AT_ONCE }, () => Promise.resolve<unknown>(null));
  const runs = [
    { name: CONTROL.name, run: () => runMutant(CONTROL) },
    ...planted.map((mutant) => ({ name: mutant.name, run: () => untilFound(mutant) })),
  ];
  for (const [index, { name, run }] of runs.entries()) {
    const place = index % AT_ONCE;
    const outcome = (free[place] ?? Promise.resolve()).then(run);
    // Whoever looks at it is told; the next one runs in any case.
    free = free.with(
      place,
      outcome.catch(() => {}),
    );
    outcomes.set(name, outcome);
  }
});

test('finds nothing where no bug is planted', { timeout: TIMEOUT_MS }, async () => {
  const outcome = await outcomes.get(CONTROL.name);
  expect(outcome?.violations).toEqual([]);
  expect(outcome?.mistakes).toEqual([]);
  expect(outcome?.tally.retried).toBeGreaterThan(0);
});

async function untilFound(mutant: Mutant): Promise<RunOutcome> {
  let outcome = await runMutant(mutant);
  for (let run = 2; run <= RUNS_MAX && shownBy(outcome, mutant) === undefined; run += 1) {
    outcome = await runMutant({ ...mutant, seed: `${mutant.seed ?? mutant.name} ${run}` });
  }
  return outcome;
}

/** The invariant that gives the bug away. */
function shownBy({ violations }: RunOutcome, { expected }: Mutant): string | undefined {
  return violations.map(({ invariant }) => invariant).find((one) => expected.includes(one));
}

test.each(planted)('finds that $name', { timeout: TIMEOUT_MS }, async (mutant: Mutant) => {
  const outcome = await outcomes.get(mutant.name);
  const found = outcome?.violations.map(({ invariant }) => invariant) ?? [];
  const shown = outcome && shownBy(outcome, mutant);
  expect(mutant.expected).toContain(shown ?? `only ${found.join()}`);
});
