import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { admit } from './admission.ts';
import type { Admission } from './admission.ts';
import type { AdmissionOptions, AdmissionRequest } from './admission-request.ts';
import { refusal } from './refusal.ts';
import type { JobClass } from './job.ts';
import { NO_LOAD } from './tier-load.ts';
import type { ClassLoad, TierLoad } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';

const options: AdmissionOptions = { depthMax: 100, waitShareMax: 0.8, fallbackShareMax: 0.2 };

/** `jobs` jobs of 50 tokens each: in a tier of 4 slots and 100 tokens a second, half a second each. */
const jobs = (count: number): ClassLoad => ({ jobs: count, tokens: count * 50 });

function load({
  waiting = 0,
  running = 0,
  ...changes
}: Partial<Omit<TierLoad, 'waiting' | 'running'>> & {
  waiting?: number;
  running?: number;
}): TierLoad {
  return {
    ...NO_LOAD,
    waiting: { ...NO_LOAD.waiting, interactive: jobs(waiting) },
    running: { ...NO_LOAD.running, interactive: jobs(running) },
    ...changes,
  };
}

function tierOf(changes: Partial<TierSnapshot> = {}): TierSnapshot {
  return {
    name: 'balanced',
    load: NO_LOAD,
    ahead: null,
    slots: 4,
    liveWorkers: 1,
    tokensPerS: 100,
    breaker: 'closed',
    retryInMs: null,
    ...changes,
  };
}

const request: AdmissionRequest = {
  tier: 'balanced',
  fallback: 'none',
  class: 'interactive',
  queueTimeoutMs: 10_000,
  tokens: 50,
  fits: { fast: true, balanced: true, precise: true },
  random: 0.5,
};

const alerting = { load: load({ isAlerting: true, running: 4 }) };
/** So much is before the job that it would wait 10 s, with 8 s at most. */
const tooLong = { load: load({ waiting: 19, running: 4 }), ahead: jobs(19) };
const full = { load: load({ waiting: 100 }) };
const opened = { breaker: 'open', retryInMs: 20_000, slots: 0 } as const;

/** The answer where the job's own tier is like this, and the others as they are named. */
function ask(
  own: Partial<TierSnapshot>,
  changes: Partial<AdmissionRequest> = {},
  others: { fast?: Partial<TierSnapshot>; precise?: Partial<TierSnapshot> } = {},
): Admission {
  const tiers = [
    tierOf({ name: 'fast', ...others.fast }),
    tierOf(own),
    tierOf({ name: 'precise', ...others.precise }),
  ];
  return admit({ ...request, ...changes }, tiers, options);
}

describe('a job in its own tier', () => {
  it.each<[string, Partial<TierSnapshot>, Partial<AdmissionRequest>, object]>([
    ['is taken while a slot is free', {}, {}, { reason: 'slot_free', waitMs: 0 }],
    [
      'is taken when it can start in time',
      { load: load({ waiting: 9, running: 4 }), ahead: jobs(9) },
      {},
      { reason: 'in_time', waitMs: 5_000 },
    ],
    [
      'is taken when nobody can tell',
      { load: load({ waiting: 99, running: 4 }), tokensPerS: null },
      {},
      { reason: 'wait_unknown', waitMs: null },
    ],
    [
      'is taken where no worker lives',
      { slots: 0, liveWorkers: 0 },
      {},
      { reason: 'wait_unknown' },
    ],
    [
      'is taken while its breaker is open for a short time',
      { ...opened, retryInMs: 3_000 },
      {},
      { reason: 'in_time', waitMs: 8_000 },
    ],
    ['is taken while it alerts, in time', alerting, {}, { reason: 'in_time', waitMs: 500 }],
    ['is taken as a batch however long it waits', tooLong, { class: 'batch' }, { reason: 'batch' }],
    [
      'is taken as a batch while the breaker is open',
      opened,
      { class: 'batch' },
      { reason: 'batch', waitMs: 25_000 },
    ],
  ])('%s', (_name, own, changes, expected) => {
    expect(ask(own, changes)).toMatchObject({ kind: 'enqueue', tier: 'balanced', ...expected });
  });

  it('is held to the limits in which that is true', () => {
    const busy = { load: load({ running: 4 }) };
    expect(ask(busy)).toMatchObject({
      limits: { depthMax: 100, tokensAheadMax: 750, whileAlerting: true, fallbackJobsMax: null },
    });
    expect(ask(busy, { class: 'batch' })).toMatchObject({
      limits: { depthMax: 100, tokensAheadMax: null, whileAlerting: false, fallbackJobsMax: null },
    });
  });

  it('enters an alerting tier only where it can go nowhere else', () => {
    const busy = { load: load({ running: 4 }) };
    expect(ask(busy, { fallback: 'up' })).toMatchObject({ limits: { whileAlerting: false } });
    expect(ask(busy, { fallback: 'up' }, { precise: alerting })).toMatchObject({
      limits: { whileAlerting: true },
    });
  });
});

describe('a job that its tier does not take', () => {
  it.each<[string, Partial<TierSnapshot>, Partial<AdmissionRequest>, object]>([
    [
      'is refused as queue_full',
      full,
      {},
      { code: 'queue_full', reason: 'queue_full', depth: 100, waitMs: 48_500 },
    ],
    [
      'is refused as overloaded',
      tooLong,
      {},
      { code: 'overloaded', reason: 'wait_too_long', waitMs: 10_000, depth: 19 },
    ],
    [
      'is refused as overloaded, before its queue is asked, for what goes before it in any case',
      { load: load({ waiting: 19, running: 4 }) },
      { class: 'standard', queueTimeoutMs: 5_000 },
      { code: 'overloaded', waitMs: 5_000 },
    ],
    [
      'is refused as tier_unavailable',
      opened,
      {},
      { code: 'tier_unavailable', reason: 'breaker_open', waitMs: 25_000 },
    ],
    [
      'is refused as batch_paused',
      alerting,
      { class: 'batch' },
      { code: 'batch_paused', reason: 'batch_paused' },
    ],
    [
      'is refused as a batch when the queue is full',
      full,
      { class: 'batch' },
      { code: 'queue_full' },
    ],
  ])('%s', (_name, own, changes, expected) => {
    const answer = ask(own, { ...changes, fallback: 'none' });
    expect(answer).toMatchObject({ kind: 'refuse', tier: 'balanced', ...expected });
  });

  it.each<[string, Partial<TierSnapshot>, Partial<AdmissionRequest>, number]>([
    ['until its wait is short enough', tooLong, {}, 2_000],
    ['until the breaker lets it through', opened, {}, 25_000],
    ['until half of what waits is done', batchPaused(), { class: 'batch' }, 5_000],
    ['until there is some room', { load: load({ waiting: 4_000 }) }, {}, 20_000],
    ['a second at least', full, {}, 1_250],
    ['a minute at most', { ...opened, retryInMs: 300_000 }, {}, 50_000],
    ['some time, where the rate is unknown', { ...full, tokensPerS: null }, {}, 10_000],
  ])('comes back after %s', (_name, own, changes, expected) => {
    expect(ask(own, changes)).toMatchObject({ retryAfterMs: expected });
    const least = ask(own, { ...changes, random: 0 });
    const most = ask(own, { ...changes, random: 1 - Number.EPSILON });
    expect(least).toMatchObject({ retryAfterMs: expected * 0.8 });
    expect(most).toMatchObject({ retryAfterMs: expected * 1.2 });
  });

  function batchPaused(): Partial<TierSnapshot> {
    return { load: load({ waiting: 20, running: 4, isAlerting: true }) };
  }

  it('is refused as well when the limits have not held too often', () => {
    const last = refusal(request, { tier: tierOf(tooLong), reason: 'wait_too_long', options });
    expect(last).toEqual(ask(tooLong));
  });
});

describe('a job that may go elsewhere', () => {
  it.each<[string, Partial<TierSnapshot>, object]>([
    ['while its tier alerts', alerting, { reason: 'depth_alert' }],
    [
      'while the breaker is open, however short',
      { ...opened, retryInMs: 1 },
      { reason: 'breaker_open' },
    ],
    ['when the queue is full', full, { reason: 'queue_full' }],
    ['when it would wait too long', tooLong, { reason: 'wait_too_long' }],
  ])('goes up %s', (_name, own, expected) => {
    expect(ask(own, { fallback: 'up' })).toMatchObject({
      kind: 'spill',
      tier: 'precise',
      from: 'balanced',
      waitMs: 0,
      limits: { depthMax: 100, whileAlerting: false, fallbackJobsMax: 1 },
      ...expected,
    });
  });

  it.each<[string, Partial<TierSnapshot>]>([
    ['alerts', alerting],
    ['has an open breaker', { breaker: 'open', retryInMs: 0 }],
    ['tries its engines out', { breaker: 'half_open' }],
    ['has no worker', { liveWorkers: 0, slots: 0 }],
    ['cannot start it in time', { load: load({ waiting: 19, running: 4 }) }],
    ['cannot say when', { load: load({ running: 4 }), tokensPerS: null }],
    ['is full', { load: load({ waiting: 100 }), slots: 1_000 }],
    ['has been sent as many as it may', { load: load({ fallbackJobs: 1 }) }],
  ])('does not go to a tier that %s', (_name, precise) => {
    expect(ask(tooLong, { fallback: 'up' }, { precise }).kind).toBe('refuse');
    expect(ask(alerting, { fallback: 'up' }, { precise })).toMatchObject({
      kind: 'enqueue',
      limits: { whileAlerting: true },
    });
  });

  it('takes a fifth of the slots there at most', () => {
    const precise = { slots: 14, load: load({ fallbackJobs: 1 }) };
    const answer = ask(tooLong, { fallback: 'up' }, { precise });
    expect(answer).toMatchObject({ kind: 'spill', limits: { fallbackJobsMax: 2 } });
  });

  it.each<[AdmissionRequest['fallback'], Partial<TierSnapshot>, string | null]>([
    ['none', {}, null],
    ['up', {}, 'precise'],
    ['down', {}, 'fast'],
    ['any', {}, 'precise'],
    ['up', alerting, null],
    ['any', alerting, 'fast'],
  ])('with fallback %s', (fallback, precise, expected) => {
    const answer = ask(tooLong, { fallback }, { precise });
    expect(answer.kind === 'spill' ? answer.tier : null).toBe(expected);
  });

  it('goes to the nearest tier that it fits', () => {
    const tiers = ['a', 'b', 'c', 'd', 'e'].map((name) => tierOf({ name }));
    const at = (fallback: 'up' | 'down', fits: string[]) =>
      admit(
        { ...request, tier: 'c', fallback, fits: Object.fromEntries(fits.map((n) => [n, true])) },
        tiers.map((tier) => (tier.name === 'c' ? { ...tier, ...tooLong } : tier)),
        options,
      );
    expect(at('up', ['c', 'd', 'e'])).toMatchObject({ tier: 'd' });
    expect(at('up', ['c', 'e'])).toMatchObject({ tier: 'e' });
    expect(at('down', ['a', 'b', 'c'])).toMatchObject({ tier: 'b' });
    expect(at('down', ['c', 'd']).kind).toBe('refuse');
  });

  it('stays as a batch', () => {
    expect(ask(alerting, { class: 'batch', fallback: 'any' })).toMatchObject({
      kind: 'refuse',
      code: 'batch_paused',
    });
  });
});

describe('any answer', () => {
  const classLoad = fc
    .record({ jobs: fc.nat(60), each: fc.integer({ min: 1, max: 2_000 }) })
    .map(({ jobs: count, each }) => ({ jobs: count, tokens: count * each }));
  const perClass = fc.record({ interactive: classLoad, standard: classLoad, batch: classLoad });
  const rate = fc.nat(3_000);
  const anyTier = fc.record({
    load: fc.record({
      waiting: perClass,
      running: perClass,
      fallbackJobs: fc.nat(5),
      arrivingTokensPerS: fc.record({ interactive: rate, standard: rate, batch: rate }),
      isAlerting: fc.boolean(),
      isStandardLate: fc.boolean(),
    }),
    ahead: fc.option(classLoad),
    slots: fc.nat(20),
    liveWorkers: fc.nat(4),
    tokensPerS: fc.option(fc.integer({ min: 1, max: 5_000 })),
    breaker: fc.constantFrom('closed' as const, 'half_open' as const, 'open' as const),
    retryInMs: fc.option(fc.nat(300_000)),
  });
  const names = ['fast', 'balanced', 'precise'];
  const anyTiers = fc
    .tuple(anyTier, anyTier, anyTier)
    .map((all) => all.map((tier, index) => ({ ...tier, name: names[index] ?? '' })));
  const anyRequest = fc.record({
    tier: fc.constantFrom(...names),
    fallback: fc.constantFrom('none' as const, 'up' as const, 'down' as const, 'any' as const),
    class: fc.constantFrom<JobClass>('interactive', 'standard', 'batch'),
    queueTimeoutMs: fc.integer({ min: 1, max: 600_000 }),
    tokens: fc.integer({ min: 1, max: 4_000 }),
    fits: fc.record({ fast: fc.boolean(), balanced: fc.boolean(), precise: fc.boolean() }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  const check = (
    property: (asked: AdmissionRequest, tiers: TierSnapshot[], answer: Admission) => void,
  ) =>
    fc.assert(
      fc.property(anyRequest, anyTiers, (asked, tiers) =>
        property(asked, tiers, admit(asked, tiers, options)),
      ),
      { numRuns: 1_000 },
    );

  it('has a reason, and a refusal a time from a second to a minute', () => {
    check((_asked, _tiers, answer) => {
      expect(answer.reason).toMatch(/^[a-z_]+$/);
      if (answer.kind !== 'refuse') return;
      expect(Number.isSafeInteger(answer.retryAfterMs)).toBe(true);
      expect(answer.retryAfterMs).toBeGreaterThanOrEqual(1_000);
      expect(answer.retryAfterMs).toBeLessThanOrEqual(60_000);
    });
  });

  it('sends a job nowhere but in the direction it allows, once, and to no tier in trouble', () => {
    check((asked, tiers, answer) => {
      if (answer.kind !== 'spill') {
        expect(answer.tier).toBe(asked.tier);
        return;
      }
      const [from, to] = [names.indexOf(asked.tier), names.indexOf(answer.tier)];
      const directions = to > from ? ['up', 'any'] : ['down', 'any'];
      expect(directions).toContain(asked.fallback);
      expect(asked.class).not.toBe('batch');
      expect(answer.from).toBe(asked.tier);
      expect(to).not.toBe(from);
      expect(Object.entries(asked.fits)).toContainEqual([answer.tier, true]);
      const target = tiers[to];
      expect(target).toMatchObject({ breaker: 'closed', load: { isAlerting: false } });
      expect(target?.liveWorkers).toBeGreaterThan(0);
      expect(answer.waitMs).toBeLessThanOrEqual(asked.queueTimeoutMs);
      expect(answer.limits).toMatchObject({ whileAlerting: false });
      expect(answer.limits.fallbackJobsMax).toBeGreaterThan(target?.load.fallbackJobs ?? 0);
    });
  });

  it('takes no job that it does not expect to start in its time', () => {
    check((asked, _tiers, answer) => {
      if (answer.kind === 'refuse' || asked.class === 'batch') return;
      expect(answer.waitMs ?? 0).toBeLessThanOrEqual(asked.queueTimeoutMs);
    });
  });

  it('is taken within the limits that were found, so that asking again comes to an end', () => {
    check((asked, tiers, answer) => {
      if (answer.kind === 'refuse') return;
      const { load: found, ahead } = tiers[names.indexOf(answer.tier)] ?? tierOf();
      const { tokensAheadMax } = answer.limits;
      expect(ahead?.tokens ?? 0).toBeLessThanOrEqual(tokensAheadMax ?? Infinity);
      if (asked.class === 'batch') expect(found.isAlerting).toBe(false);
      if (found.isAlerting) expect(answer.limits.whileAlerting).toBe(true);
    });
  });

  it('is never a yes for more work where it is a no for less', () => {
    fc.assert(
      fc.property(anyRequest, anyTiers, classLoad, (asked, tiers, more) => {
        if (admit(asked, tiers, options).kind !== 'refuse') return;
        const busier = tiers.map((tier) =>
          tier.name === asked.tier ? withMore(tier, more) : tier,
        );
        expect(admit(asked, busier, options).kind).toBe('refuse');
      }),
      { numRuns: 1_000 },
    );
  });

  it('has no opinion of its own on whether a tier alerts', () => {
    check((asked, tiers) => {
      const calm = tiers.map((tier) => ({ ...tier, load: { ...tier.load, isAlerting: false } }));
      const answer = admit(asked, calm, options);
      expect(['depth_alert', 'batch_paused']).not.toContain(answer.reason);
    });
  });
});

function withMore(tier: TierSnapshot, more: ClassLoad): TierSnapshot {
  const { waiting } = tier.load;
  const plus = (some: ClassLoad) => ({
    jobs: some.jobs + more.jobs,
    tokens: some.tokens + more.tokens,
  });
  return {
    ...tier,
    load: { ...tier.load, waiting: { ...waiting, interactive: plus(waiting.interactive) } },
    ahead: tier.ahead === null ? null : plus(tier.ahead),
  };
}
