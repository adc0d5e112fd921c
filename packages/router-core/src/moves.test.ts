import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AdmissionOptions } from './admission-request.ts';
import { planMoves, takesNone } from './moves.ts';
import type { WaitingJob } from './moves.ts';
import { NO_LOAD } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';

const options: AdmissionOptions = { depthMax: 100, waitShareMax: 0.8, fallbackShareMax: 0.2 };

function tierOf(name: string, changes: Partial<TierSnapshot> = {}): TierSnapshot {
  return {
    name,
    load: NO_LOAD,
    ahead: null,
    slots: 10,
    liveWorkers: 1,
    tokensPerS: 100,
    breaker: 'closed',
    retryInMs: null,
    ...changes,
  };
}

const opened = { breaker: 'open', slots: 0, retryInMs: 10_000 } as const;

function jobOf(changes: Partial<WaitingJob> = {}): WaitingJob {
  return {
    class: 'interactive',
    fallback: 'any',
    fits: ['fast', 'balanced', 'precise'],
    tokens: 50,
    leftMs: 10_000,
    jobsAhead: 0,
    ...changes,
  };
}

/** To which tiers these jobs are moved, in the order of the moves. */
function targets(
  jobs: readonly WaitingJob[],
  {
    own = opened,
    fast = {},
    precise = {},
  }: {
    own?: Partial<TierSnapshot>;
    fast?: Partial<TierSnapshot>;
    precise?: Partial<TierSnapshot>;
  } = {},
): string[] {
  const from = tierOf('balanced', own);
  const tiers = [tierOf('fast', fast), from, tierOf('precise', precise)];
  return planMoves(jobs, { from, tiers, options }).map(({ to }) => to);
}

/** Fifty of a second each. */
const ahead = {
  load: { ...NO_LOAD, waiting: { ...NO_LOAD.waiting, interactive: { jobs: 50, tokens: 5_000 } } },
};
const alerting = { load: { ...NO_LOAD, isAlerting: true } };
const taken = { load: { ...NO_LOAD, fallbackJobs: 2 } };

describe('a tier', () => {
  it.each<[string, Partial<TierSnapshot>, number, string | null]>([
    ['takes jobs while it has slots', {}, 60_000, null],
    ['takes none while its breaker is open', opened, 0, 'breaker_open'],
    ['may be starting when it has no slot', { slots: 0 }, 9_999, null],
    ['takes none when it has had no slot for long', { slots: 0 }, 10_000, 'no_worker'],
    ['takes a try while its breaker is half open', { breaker: 'half_open', slots: 1 }, 0, null],
  ])('%s', (_name, changes, withoutSlotsMs, reason) => {
    expect(takesNone(tierOf('fast', changes), { withoutSlotsMs })).toBe(reason);
  });
});

describe('a job of a tier that takes none', () => {
  it.each<[string, Partial<WaitingJob>, Parameters<typeof targets>[1], string[]]>([
    ['is moved when it would be too late', {}, {}, ['precise']],
    ['stays when the next try comes in time', { leftMs: 18_750 }, {}, []],
    [
      'is moved when too much is before it then',
      { leftMs: 30_000, jobsAhead: 20 },
      { own: { ...opened, ...ahead } },
      ['precise'],
    ],
    [
      'stays when what is before it is done in time',
      { leftMs: 30_000, jobsAhead: 9 },
      { own: { ...opened, ...ahead } },
      [],
    ],
    [
      'is moved when nobody knows of a next try',
      { leftMs: 86_400_000 },
      { own: { ...opened, retryInMs: null } },
      ['precise'],
    ],
    [
      'is moved when no worker is there to try',
      { leftMs: 86_400_000 },
      { own: { slots: 0, liveWorkers: 0 } },
      ['precise'],
    ],
    ['stays without consent', { fallback: 'none' }, {}, []],
    ['goes down by consent only', { fallback: 'down' }, {}, ['fast']],
    ['goes nowhere that it does not fit', { fits: ['fast'] }, {}, ['fast']],
    ['goes nowhere else when it fits nowhere else', { fits: ['balanced'] }, {}, []],
    ['stays as a batch', { class: 'batch' }, {}, []],
    ['stays when its time is up', { leftMs: 0 }, {}, []],
    ['is not sent where others cannot be had', { fallback: 'up' }, { precise: alerting }, []],
    ['is not sent where others have been sent', { fallback: 'up' }, { precise: taken }, []],
    ['is not sent where it would be too late', { fallback: 'up' }, { precise: ahead }, []],
    ['goes down where it cannot go up', {}, { precise: opened }, ['fast']],
  ])('%s', (_name, changes, world, expected) => {
    expect(targets([jobOf(changes)], world)).toEqual(expected);
  });

  it('leaves a tier to others when its share of it is taken', () => {
    const jobs = Array.from({ length: 9 }, () => jobOf({ fallback: 'up' }));
    expect(targets(jobs)).toEqual(['precise', 'precise']);
    expect(targets(jobs, { precise: { slots: 3 } })).toEqual(['precise']);
  });

  it('goes before those that have more time, and after those of a higher class', () => {
    const from = tierOf('balanced', opened);
    const jobs = [
      jobOf({ class: 'standard', leftMs: 1_000 }),
      jobOf({ leftMs: 9_000 }),
      jobOf({ leftMs: 2_000 }),
    ];
    const tiers = [from, tierOf('precise', { slots: 20 })];
    const moves = planMoves(jobs, { from, tiers, options });
    expect(moves.map(({ job }) => jobs.indexOf(job))).toEqual([2, 1, 0]);
    expect(moves[0]?.limits).toEqual({
      depthMax: 100,
      tokensAheadMax: expect.any(Number),
      whileAlerting: false,
      fallbackJobsMax: 4,
    });
  });
});

const jobs = fc.array(
  fc.record({
    class: fc.constantFrom('interactive', 'standard', 'batch'),
    fallback: fc.constantFrom('none', 'up', 'down', 'any'),
    fits: fc.subarray(['fast', 'balanced', 'precise']),
    tokens: fc.integer({ min: 1, max: 500 }),
    leftMs: fc.integer({ min: -1_000, max: 60_000 }),
    jobsAhead: fc.nat(100),
  }),
  { maxLength: 40 },
);
const tierChanges = fc.record({
  slots: fc.integer({ min: 0, max: 30 }),
  tokensPerS: fc.option(fc.integer({ min: 1, max: 1_000 })),
  breaker: fc.constantFrom('closed', 'closed', 'half_open', 'open'),
  retryInMs: fc.option(fc.nat(60_000)),
  load: fc.record({
    waiting: fc.constant(NO_LOAD.waiting),
    running: fc.constant(NO_LOAD.running),
    arrivingTokensPerS: fc.constant(NO_LOAD.arrivingTokensPerS),
    fallbackJobs: fc.nat(5),
    isAlerting: fc.boolean(),
    isStandardLate: fc.boolean(),
  }),
});

it('moves by consent, to where it fits, within the share of others', () => {
  fc.assert(
    fc.property(jobs, fc.tuple(tierChanges, tierChanges), (some, [below, above]) => {
      const from = tierOf('balanced', opened);
      const tiers = [tierOf('fast', below), from, tierOf('precise', above)];
      const moves = planMoves(some as WaitingJob[], { from, tiers, options });
      expect(new Set(moves.map(({ job }) => job)).size).toBe(moves.length);
      for (const { job, to } of moves) {
        expect(job.fits).toContain(to);
        expect(to === 'precise' ? ['up', 'any'] : ['down', 'any']).toContain(job.fallback);
        expect(job.class).not.toBe('batch');
        // The next try comes in ten seconds, and takes five.
        expect(job.leftMs * options.waitShareMax).toBeLessThan(15_000);
      }
      for (const tier of tiers) {
        const here = moves.filter(({ to }) => to === tier.name).length;
        if (here === 0) continue;
        expect(tier).toMatchObject({ breaker: 'closed', load: { isAlerting: false } });
        const most = Math.max(1, Math.floor(tier.slots * options.fallbackShareMax));
        expect(tier.load.fallbackJobs + here).toBeLessThanOrEqual(most);
      }
    }),
  );
});
