import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JobClass } from './job.ts';
import { NO_LOAD } from './tier-load.ts';
import type { Ahead, ClassLoad, TierLoad } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';
import { equalOrHigherClasses, estimateWaitMs, tokensAheadMax } from './wait-estimate.ts';

/** Four slots, 100 tokens a second in all. */
const tier: TierSnapshot = {
  name: 'fast',
  load: NO_LOAD,
  ahead: null,
  slots: 4,
  liveWorkers: 1,
  tokensPerS: 100,
  breaker: 'closed',
  retryInMs: null,
};
const none: ClassLoad = { jobs: 0, tokens: 0 };

/** `jobs` jobs of 50 tokens each. */
const jobs = (count: number): ClassLoad => ({ jobs: count, tokens: count * 50 });

function load(changes: {
  waiting?: Partial<Record<JobClass, ClassLoad>>;
  running?: Partial<Record<JobClass, ClassLoad>>;
  arriving?: Partial<Record<JobClass, number>>;
}): TierLoad {
  return {
    ...NO_LOAD,
    waiting: { ...NO_LOAD.waiting, ...changes.waiting },
    running: { ...NO_LOAD.running, ...changes.running },
    arrivingTokensPerS: { ...NO_LOAD.arrivingTokensPerS, ...changes.arriving },
  };
}
const open = (retryInMs: number | null): Partial<TierSnapshot> => ({
  breaker: 'open',
  retryInMs,
  slots: 0,
});
const busy = load({ running: { interactive: jobs(4) } });

describe('the estimated wait of an interactive job', () => {
  it.each<[string, Partial<TierSnapshot>, Ahead, number | null]>([
    ['is 0 in an empty tier', {}, none, 0],
    ['is 0 while a slot is free', { load: load({ running: { batch: jobs(3) } }) }, none, 0],
    ['is 0 while slots are free for all before it', {}, jobs(3), 0],
    ['is 0 with a free slot before any rate is known', { tokensPerS: null }, jobs(3), 0],
    ['is the time until one of the slots is free', { load: busy }, none, 500],
    ['grows with the jobs before it', { load: busy }, jobs(3), 2_000],
    [
      'counts work, not jobs',
      { load: load({ running: { interactive: { jobs: 4, tokens: 2_000 } } }) },
      none,
      5_000,
    ],
    ['shrinks with the rate', { load: busy, tokensPerS: 400 }, jobs(3), 500],
    ['shrinks with free slots', { slots: 6, load: busy }, jobs(3), 1_000],
    ['is null without a slot', { slots: 0 }, none, null],
    ['is null before any job is done', { load: busy, tokensPerS: null }, none, null],
    [
      'leaves the slot of a batch that waits to the batch',
      { load: load({ running: { interactive: jobs(3) }, waiting: { batch: jobs(1) } }) },
      none,
      667,
    ],
    ['is the time to the next try of an open breaker, and of its probes', open(4_000), none, 9_000],
    ['and then until what waits is done', open(4_000), jobs(2), 10_000],
    ['is null while nobody knows when that is', open(null), none, null],
    ['is at least that time', { ...open(4_000), tokensPerS: null }, jobs(2), 9_000],
    ['is what is before it while no engine is ready', { slots: 0 }, jobs(2), 1_000],
    ['is null while none is ready and nothing is before it', { slots: 0 }, none, null],
    ['is null without a worker', { slots: 0, liveWorkers: 0 }, jobs(2), null],
    ['is never 0 while a breaker is open', open(0), none, 5_000],
  ])('%s', (_name, changes, ahead, expected) => {
    expect(estimateWaitMs({ ...tier, ...changes }, { class: 'interactive', ahead })).toBe(expected);
  });
});

describe('the estimated wait of other classes', () => {
  const waiting = { interactive: jobs(40), standard: jobs(4) };
  const ahead = jobs(44);

  it.each<[string, JobClass, Parameters<typeof load>[0], Ahead, number | null]>([
    [
      'an interactive job has all but a tenth of it while a standard one waits',
      'interactive',
      { waiting: { standard: jobs(1) } },
      none,
      556,
    ],
    ['a standard job has the tier for itself while nothing arrives', 'standard', {}, none, 500],
    [
      'it gets what arriving interactive jobs leave',
      'standard',
      { arriving: { interactive: 80 } },
      none,
      4_167,
    ],
    ['and never less than a tenth', 'standard', { arriving: { interactive: 200 } }, none, 5_000],
    ['it waits for the interactive ones before it', 'standard', { waiting }, ahead, 22_500],
    [
      'or, where they do not end, for its own class at a tenth of the rate',
      'standard',
      { waiting, arriving: { interactive: 100 } },
      ahead,
      25_000,
    ],
    ['a batch gets what both leave', 'batch', { arriving: { standard: 50 } }, none, 1_111],
    ['and never less than a slot', 'batch', { arriving: { standard: 500 } }, none, 2_000],
  ])('%s', (_name, jobClass, changes, before, expected) => {
    const running = { interactive: jobs(4) };
    const busyTier = { ...tier, load: load({ running, ...changes }) };
    expect(estimateWaitMs(busyTier, { class: jobClass, ahead: before })).toBe(expected);
  });

  it('a batch has nothing for certain in a tier of one slot', () => {
    const one = {
      ...tier,
      slots: 1,
      load: load({ running: { interactive: jobs(1) }, arriving: { interactive: 100 } }),
    };
    expect(estimateWaitMs(one, { class: 'batch', ahead: none })).toBeNull();
  });
});

describe('how much may be before a job', () => {
  it.each<[string, Partial<TierSnapshot>, JobClass, number | null]>([
    ['is what is done in its time, without a slot', { load: busy }, 'interactive', 950],
    ['and as much as free slots take at once', {}, 'interactive', 1_060],
    ['for a standard one, more than its class', { load: busyWith(95, 40) }, 'standard', 2_050],
    ['is without a limit before any job is done', { tokensPerS: null }, 'interactive', null],
    ['is less while a breaker is open', open(4_000), 'interactive', 100],
    ['is never less than was found', { load: busy, ahead: jobs(30) }, 'interactive', 1_500],
  ])('%s', (_name, changes, jobClass, expected) => {
    const limits = { class: jobClass, maxWaitMs: 10_000, tokens: 20 };
    expect(tokensAheadMax({ ...tier, ...changes }, limits)).toBe(expected);
  });
  function busyWith(arriving: number, waiting: number): TierLoad {
    return load({
      running: { interactive: jobs(4) },
      waiting: { interactive: jobs(waiting) },
      arriving: { interactive: arriving },
    });
  }
});

describe('what is before a job at most', () => {
  it('is all of its own class and of higher ones', () => {
    const waiting = { interactive: jobs(1), standard: jobs(2), batch: jobs(4) };
    const before = (jobClass: JobClass) => equalOrHigherClasses({ waiting }, jobClass).jobs;
    expect([before('interactive'), before('standard'), before('batch')]).toEqual([1, 3, 7]);
  });
});

describe('the estimate', () => {
  const classLoad = fc
    .record({ jobs: fc.nat(60), each: fc.integer({ min: 1, max: 2_000 }) })
    .map(({ jobs: count, each }) => ({ jobs: count, tokens: count * each }));
  const perClass = fc.record({ interactive: classLoad, standard: classLoad, batch: classLoad });
  const rate = fc.nat(3_000);
  const anyTier = fc.record({
    name: fc.constant('fast'),
    load: fc.record({
      waiting: perClass,
      running: perClass,
      fallbackJobs: fc.nat(5),
      arrivingTokensPerS: fc.record({ interactive: rate, standard: rate, batch: rate }),
      isAlerting: fc.boolean(),
      isStandardLate: fc.boolean(),
    }),
    ahead: fc.constant(null),
    slots: fc.nat(20),
    liveWorkers: fc.nat(4),
    tokensPerS: fc.option(fc.integer({ min: 1, max: 5_000 })),
    breaker: fc.constantFrom('closed' as const, 'half_open' as const, 'open' as const),
    retryInMs: fc.option(fc.nat(300_000)),
  });
  const anyClass = fc.constantFrom<JobClass>('interactive', 'standard', 'batch');

  it('is a whole number of milliseconds, or unknown', () => {
    fc.assert(
      fc.property(anyTier, anyClass, classLoad, (any, jobClass, ahead) => {
        const waitMs = estimateWaitMs(any, { class: jobClass, ahead });
        expect(waitMs === null || (Number.isSafeInteger(waitMs) && waitMs >= 0)).toBe(true);
      }),
    );
  });

  it.each<[string, (any: TierSnapshot, more: ClassLoad) => TierSnapshot]>([
    ['runs', (any, more) => adding(any, 'running', more)],
    ['waits', (any, more) => adding(any, 'waiting', more)],
  ])('never shrinks when more %s', (_name, withMore) => {
    fc.assert(
      fc.property(anyTier, anyClass, classLoad, (any, jobClass, more) => {
        const wait = (of: TierSnapshot) =>
          estimateWaitMs(of, { class: jobClass, ahead: equalOrHigherClasses(of.load, jobClass) });
        const before = wait(any);
        const after = wait(withMore(any, more));
        expect(after ?? Infinity).toBeGreaterThanOrEqual(before ?? 0);
      }),
    );
  });
});

function adding(any: TierSnapshot, where: 'waiting' | 'running', more: ClassLoad): TierSnapshot {
  const { interactive } = any.load[where];
  const sum = { jobs: interactive.jobs + more.jobs, tokens: interactive.tokens + more.tokens };
  return { ...any, load: { ...any.load, [where]: { ...any.load[where], interactive: sum } } };
}
