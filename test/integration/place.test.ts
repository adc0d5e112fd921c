/** The two that say where a job stands that was just written: in TypeScript, and in the step that writes it. */
import { placeFound } from '@qarr/router-core';
import type { JobClass, TierLoad, TierPace } from '@qarr/router-core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runScript, runScriptForEach } from '../../packages/job-store/src/scripts.ts';
import { paceArgs } from '../../packages/job-store/src/write-as-one.ts';
import { createStores } from '../harness/store.ts';

const CASES = 4_000;
const CLASSES = ['interactive', 'standard', 'batch'] as const;

interface Case {
  readonly class: JobClass;
  readonly pace: TierPace;
  readonly load: TierLoad;
  readonly ahead: { jobs: number; tokens: number };
}

const jobs = fc.oneof(fc.constant(0), fc.nat(5), fc.nat(2_000));
const tokens = fc.oneof(fc.constant(0), fc.nat(100), fc.nat(1_000_000));
const of = <Value>(one: fc.Arbitrary<Value>) =>
  fc.record({ interactive: one, standard: one, batch: one });
const counted = of(fc.record({ jobs, tokens }));
const cases: fc.Arbitrary<Case> = fc.record({
  class: fc.constantFrom(...CLASSES),
  pace: fc.record({
    slots: fc.oneof(fc.constantFrom(0, 1, 2), fc.nat(64)),
    liveWorkers: fc.nat(2),
    tokensPerS: fc.oneof(fc.constant(null), fc.double({ min: 0.01, max: 50_000, noNaN: true })),
    breaker: fc.constantFrom('closed', 'half_open', 'open'),
    retryInMs: fc.oneof(fc.constant(null), fc.nat(60_000)),
  }),
  load: fc.record({
    waiting: counted,
    running: counted,
    arrivingTokensPerS: of(fc.nat(20_000)),
    fallbackJobs: fc.nat(3),
    isAlerting: fc.boolean(),
    isStandardLate: fc.boolean(),
  }),
  ahead: fc.record({ jobs, tokens }),
});

it('say the same of any job in any tier', async () => {
  const { redis } = createStores();
  const some = fc.sample(cases, CASES);
  const calls = some.map((one) => ({ keys: [], args: argsOf(one) }));
  const [first] = calls;
  if (first !== undefined) await runScript(redis, 'place', first);
  const replies = (await runScriptForEach(redis, 'place', calls)) as [number, number | null][];
  const told = replies.map(([position, estimatedWaitMs]) => ({ position, estimatedWaitMs }));
  expect(told).toEqual(some.map((one) => placeFound(one.pace, one)));
  const waits = told.map(({ estimatedWaitMs }) => estimatedWaitMs);
  // They were not all of one kind.
  for (const kind of [null, 0])
    expect(waits.filter((wait) => wait === kind).length).toBeGreaterThan(100);
  expect(waits.filter((wait) => Number(wait) > 0).length).toBeGreaterThan(1_000);
});

/** As `ledger-enter` says what it found. */
function argsOf({ class: jobClass, pace, load, ahead }: Case): (string | number)[] {
  const perClass = CLASSES.flatMap((name) => {
    const [waiting, running] = [load.waiting[name], load.running[name]];
    const counts = [waiting.jobs, waiting.tokens, running.jobs, running.tokens];
    return [...counts, load.arrivingTokensPerS[name]];
  });
  const flags = [load.fallbackJobs, Number(load.isAlerting), Number(load.isStandardLate)];
  return [jobClass, ahead.jobs, ahead.tokens, ...paceArgs({ pace }), ...perClass, ...flags];
}
