import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BREAKER_DEFAULTS,
  askBreaker,
  closedBreaker,
  followBreaker,
  restartBreaker,
  settleBreaker,
} from './breaker.ts';
import type { Breaker, BreakerOptions, CallOutcome, Permit } from './breaker.ts';

const OPTIONS = BREAKER_DEFAULTS;
const MINUTE_MS = 60_000;

/** A breaker under test, with a clock that only the test moves. */
function createSubject(options: BreakerOptions = OPTIONS) {
  let breaker = closedBreaker(0);
  let nowMs = 0;
  const subject = {
    random: 0.5,
    get breaker() {
      return breaker;
    },
    get nowMs() {
      return nowMs;
    },
    set(next: Breaker) {
      breaker = next;
    },
    wait(ms: number) {
      nowMs += ms;
    },
    /** Null: it has to wait. */
    ask(): Permit | null {
      const asked = askBreaker(breaker, nowMs);
      ({ breaker } = asked);
      return asked.kind === 'go' ? asked.permit : null;
    },
    settle(permit: Permit, outcome: CallOutcome) {
      const { random } = subject;
      breaker = settleBreaker(breaker, { permit, outcome, nowMs, random, options });
    },
    /** A whole call, if it may be made. */
    call(outcome: CallOutcome): boolean {
      const permit = subject.ask();
      if (permit !== null) subject.settle(permit, outcome);
      return permit !== null;
    },
    calls(count: number, outcome: CallOutcome) {
      for (let left = count; left > 0; left -= 1) subject.call(outcome);
    },
    /** Milliseconds from now until it lets a call through; it is open. */
    openForMs(): number {
      if (breaker.kind !== 'open') throw new Error(`It is ${breaker.kind}`);
      return breaker.untilMs - nowMs;
    },
    untilHalfOpen() {
      subject.wait(subject.openForMs());
    },
    close() {
      subject.calls(OPTIONS.successThreshold, 'succeeded');
      expect(breaker.kind).toBe('closed');
    },
  };
  return subject;
}

function createOpen() {
  const subject = createSubject();
  subject.calls(5, 'failed');
  expect(subject.breaker.kind).toBe('open');
  return subject;
}

describe('a closed breaker', () => {
  it('opens at the fifth failure in a row', () => {
    const subject = createSubject();
    subject.calls(4, 'failed');
    subject.call('succeeded');
    subject.calls(4, 'failed');
    expect(subject.breaker.kind).toBe('closed');
    subject.call('failed');
    expect(subject.breaker.kind).toBe('open');
    expect(subject.openForMs()).toBe(15_000);
  });

  it('opens when half of twenty calls fail within half a minute', () => {
    const subject = createSubject();
    for (let call = 0; call < 19; call += 1) {
      subject.call(call % 2 === 0 ? 'succeeded' : 'failed');
      subject.wait(1_000);
    }
    expect(subject.breaker.kind).toBe('closed');
    subject.call('failed');
    expect(subject.breaker.kind).toBe('open');
  });

  it('forgets calls that are older than that', () => {
    const subject = createSubject();
    for (let call = 0; call < 200; call += 1) {
      subject.call(call % 2 === 0 ? 'succeeded' : 'failed');
      subject.wait(2_000);
    }
    expect(subject.breaker.kind).toBe('closed');
  });

  it('never opens where that is switched off', () => {
    const subject = createSubject({ ...OPTIONS, failureThreshold: 0 });
    subject.calls(1_000, 'failed');
    expect(subject.breaker.kind).toBe('closed');
  });

  it('is opened once by an incident in which many calls fail', () => {
    const subject = createSubject();
    const permits = Array.from({ length: 32 }, () => subject.ask());
    for (const permit of permits) if (permit !== null) subject.settle(permit, 'failed');
    expect(subject.openForMs()).toBe(15_000);
    subject.untilHalfOpen();
    expect(subject.call('succeeded')).toBe(true);
  });
});

describe('an open breaker', () => {
  it('lets nothing through, and then one probe', () => {
    const subject = createOpen();
    subject.wait(subject.openForMs() - 1);
    expect(subject.ask()).toBeNull();
    subject.wait(1);
    expect(subject.ask()).not.toBeNull();
    expect(subject.ask()).toBeNull();
    expect(askBreaker(subject.breaker, subject.nowMs)).toMatchObject({ retryInMs: null });
  });

  it('stays open twice as long each time, with a cap', () => {
    const subject = createOpen();
    const times = [subject.openForMs()];
    for (let trip = 0; trip < 7; trip += 1) {
      subject.untilHalfOpen();
      subject.call('failed');
      times.push(subject.openForMs());
    }
    expect(times).toEqual([15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000]);
  });

  it.each([
    [0, 12_000],
    [0.999_999_999, 18_000],
  ])('opens for a time that is spread: %d', (random, ms) => {
    const subject = createSubject();
    subject.random = random;
    subject.calls(5, 'failed');
    expect(subject.openForMs()).toBeCloseTo(ms, 3);
  });

  it('is tried at once when what it guards has started anew, and forgets the past', () => {
    const subject = createOpen();
    subject.untilHalfOpen();
    subject.call('failed');
    subject.set(restartBreaker(subject.breaker));
    expect(subject.call('failed')).toBe(true);
    expect(subject.openForMs()).toBe(15_000);
  });
});

describe('a half-open breaker', () => {
  it('closes after three probes that succeed', () => {
    const subject = createOpen();
    subject.untilHalfOpen();
    subject.call('succeeded');
    subject.call('neutral');
    subject.call('succeeded');
    expect(subject.breaker.kind).toBe('half_open');
    subject.call('succeeded');
    expect(subject.breaker.kind).toBe('closed');
  });

  it('believes nothing that calls of before it say', () => {
    const subject = createSubject();
    const [early, other] = [subject.ask(), subject.ask()];
    subject.calls(5, 'failed');
    subject.untilHalfOpen();
    const probe = subject.ask();
    const before = subject.breaker;
    if (early !== null) subject.settle(early, 'failed');
    if (other !== null) subject.settle(other, 'succeeded');
    expect(subject.breaker).toBe(before);
    if (probe !== null) subject.settle(probe, 'succeeded');
    expect(subject.breaker).toMatchObject({ successes: 1, isProbing: false });
    // Told twice.
    if (probe !== null) subject.settle(probe, 'failed');
    expect(subject.breaker).toMatchObject({ kind: 'half_open', successes: 1 });
  });
});

describe('being open', () => {
  it('is forgotten, one time for each ten minutes of being closed', () => {
    const subject = createOpen();
    for (let trip = 0; trip < 3; trip += 1) {
      subject.untilHalfOpen();
      subject.call('failed');
    }
    subject.untilHalfOpen();
    subject.close();
    subject.wait(25 * MINUTE_MS);
    subject.calls(5, 'failed');
    // The fifth time would have been 240 s.
    expect(subject.openForMs()).toBe(60_000);
  });

  it('is forgotten within an hour and a half, however often it was', () => {
    const subject = createOpen();
    for (let trip = 0; trip < 100; trip += 1) {
      subject.untilHalfOpen();
      subject.call('failed');
    }
    subject.untilHalfOpen();
    subject.close();
    subject.wait(90 * MINUTE_MS);
    subject.calls(5, 'failed');
    expect(subject.openForMs()).toBe(15_000);
  });

  it('is remembered before that', () => {
    const subject = createOpen();
    subject.untilHalfOpen();
    subject.close();
    subject.wait(10 * MINUTE_MS - 1);
    subject.calls(5, 'failed');
    expect(subject.openForMs()).toBe(30_000);
  });
});

describe('a breaker that follows others', () => {
  it('becomes what they are', () => {
    const subject = createSubject();
    const follow = (kind: Breaker['kind']) =>
      subject.set(
        followBreaker(subject.breaker, { kind, trips: 3, retryInMs: 7_000 }, subject.nowMs),
      );
    follow('open');
    expect(subject.openForMs()).toBe(7_000);
    follow('half_open');
    expect(subject.call('failed')).toBe(true);
    expect(subject.openForMs()).toBe(120_000);
    follow('open');
    expect(subject.openForMs()).toBe(7_000);
    follow('closed');
    const { breaker } = subject;
    expect(breaker).toMatchObject({ kind: 'closed', trips: 3 });
    follow('closed');
    expect(subject.breaker).toBe(breaker);
  });

  it('forgets the calls of before', () => {
    const subject = createSubject();
    const permit = subject.ask();
    const told = { trips: 1, retryInMs: 0 };
    subject.set(followBreaker(subject.breaker, { kind: 'open', ...told }, 0));
    subject.set(followBreaker(subject.breaker, { kind: 'half_open', ...told }, 0));
    if (permit !== null) subject.settle(permit, 'failed');
    expect(subject.breaker.kind).toBe('half_open');
  });
});

type Step =
  | { do: 'ask' }
  /** Of the calls that are under way, this one. */
  | { do: 'settle'; which: number; outcome: CallOutcome }
  | { do: 'wait'; ms: number }
  | { do: 'restart' };

const outcomes = fc.constantFrom<CallOutcome>('succeeded', 'failed', 'failed', 'neutral');
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Step>({ do: 'ask' }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(40),
      outcome: outcomes,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.oneof(fc.nat(2_000), fc.nat(400_000), fc.nat(30 * MINUTE_MS)),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'restart' }) },
);
const optionSets = fc.record({
  failureThreshold: fc.integer({ min: 1, max: 8 }),
  windowMs: fc.integer({ min: 10, max: 100_000 }),
  windowCallsMin: fc.integer({ min: 1, max: 40 }),
  windowFailureShare: fc.double({ min: 0.1, max: 1, noNaN: true }),
  resetTimeoutMs: fc.integer({ min: 1, max: 20_000 }),
  resetTimeoutMsMax: fc.integer({ min: 20_000, max: 400_000 }),
  successThreshold: fc.integer({ min: 1, max: 5 }),
  calmMs: fc.integer({ min: 1, max: 1_000_000 }),
});
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('after any events', () => {
  it('there is one probe at most, and no way to be stuck', () => {
    fc.assert(
      fc.property(
        fc.array(steps, { maxLength: 150 }),
        optionSets,
        randoms,
        (all, options, random) => {
          const subject = createSubject(options);
          subject.random = random;
          const underWay: { permit: Permit; isProbe: boolean }[] = [];
          let hardFailures = 0;
          let successes = 0;
          for (const step of all) {
            const before = subject.breaker;
            switch (step.do) {
              case 'wait':
                subject.wait(step.ms);
                break;
              case 'restart':
                subject.set(restartBreaker(before));
                if (before.kind !== 'open') expect(subject.breaker).toBe(before);
                break;
              case 'ask': {
                const permit = subject.ask();
                const isProbe = subject.breaker.kind === 'half_open';
                if (permit !== null) underWay.push({ permit, isProbe });
                // It never waits for anything but the time, or for the probe that is out.
                if (before.kind === 'closed') expect(permit).not.toBeNull();
                if (before.kind === 'open') {
                  expect(permit !== null).toBe(subject.nowMs >= before.untilMs);
                }
                if (before.kind === 'half_open') expect(permit === null).toBe(before.isProbing);
                break;
              }
              case 'settle': {
                const [call] = underWay.splice(step.which % Math.max(1, underWay.length), 1);
                if (call === undefined) break;
                subject.settle(call.permit, step.outcome);
                const isCurrent = call.permit.serial === before.serial;
                if (!isCurrent) expect(subject.breaker).toBe(before);
                if (isCurrent && step.outcome === 'failed') hardFailures += 1;
                if (isCurrent && call.isProbe && step.outcome === 'succeeded') successes += 1;
                if (subject.breaker.kind === 'open' && before.kind !== 'open') {
                  // Nothing but a hard failure, or as many as it takes, opens it.
                  expect(step.outcome).toBe('failed');
                  const least = Math.min(options.failureThreshold, options.windowCallsMin);
                  if (before.kind === 'closed' && options.windowFailureShare === 1) {
                    expect(hardFailures).toBeGreaterThanOrEqual(least);
                  }
                  const openMs = subject.openForMs();
                  expect(openMs).toBeLessThanOrEqual(options.resetTimeoutMsMax);
                  expect(openMs).toBeGreaterThanOrEqual(options.resetTimeoutMs * 0.8 - 0.001);
                }
                if (subject.breaker.kind === 'closed' && before.kind === 'half_open') {
                  expect(successes).toBe(options.successThreshold);
                }
                break;
              }
              default:
                step satisfies never;
            }
            const { breaker } = subject;
            if (breaker.kind !== before.kind) [hardFailures, successes] = [0, 0];
            expect(underWay.filter(({ isProbe }) => isProbe).length).toBeLessThanOrEqual(1);
            expect(breaker.trips).toBeLessThanOrEqual(20);
            if (breaker.kind === 'closed') {
              expect(breaker.failuresInARow).toBeLessThan(options.failureThreshold);
              expect(breaker.buckets.length).toBeLessThanOrEqual(10);
            }
          }

          // Whatever has happened: what works again is in full use after the time and its probes.
          const { breaker } = subject;
          if (breaker.kind === 'open') subject.wait(options.resetTimeoutMsMax);
          for (const { permit, isProbe } of underWay) {
            if (isProbe) subject.settle(permit, 'succeeded');
          }
          for (let left = options.successThreshold; left > 0; left -= 1) {
            expect(subject.call('succeeded')).toBe(true);
          }
          expect(subject.breaker.kind).toBe('closed');
        },
      ),
    );
  });

  it('only hard failures open it', () => {
    const harmless = fc.constantFrom<CallOutcome>('succeeded', 'neutral');
    fc.assert(
      fc.property(fc.array(harmless, { maxLength: 100 }), optionSets, (all, options) => {
        const subject = createSubject(options);
        for (const outcome of all) expect(subject.call(outcome)).toBe(true);
        expect(subject.breaker.kind).toBe('closed');
      }),
    );
  });

  it('survives being stored', () => {
    const subject = createOpen();
    subject.set(JSON.parse(JSON.stringify(subject.breaker)) as Breaker);
    subject.untilHalfOpen();
    subject.close();
  });
});
