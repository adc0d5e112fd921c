import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adapt, adaptBlindly, afterRefusal, initialPressure } from './pressure.ts';
import type { LoadSample, Pressure } from './pressure.ts';

const IDLE: LoadSample = { waiting: 0, kvUsage: 0, preemptions: 0 };
const ceilings = fc.integer({ min: 1, max: 300 });
const samples: fc.Arbitrary<LoadSample> = fc.record({
  waiting: fc.oneof(fc.constant(0), fc.option(fc.nat(400))),
  kvUsage: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  preemptions: fc.option(fc.nat(20)),
});
const starts = fc.record({
  ceiling: ceilings,
  kvTokens: fc.option(fc.nat(1_000_000)),
  maxModelLen: fc.option(fc.integer({ min: 1, max: 200_000 })),
});
const steps = fc.array(fc.record({ sample: samples, running: fc.nat(400), peak: fc.nat(400) }), {
  maxLength: 60,
});

describe('an engine that refuses jobs', () => {
  it('gets as many as it has kept, however many are refused at once', () => {
    fc.assert(
      fc.property(ceilings, fc.nat(300), (ceiling, takes) => {
        let pressure = initialPressure({ ceiling, kvTokens: null, maxModelLen: null });
        for (let running = ceiling - 1; running >= takes; running -= 1) {
          pressure = afterRefusal(pressure, { running });
        }
        expect(pressure.limit).toBe(Math.max(1, Math.min(ceiling, takes)));
      }),
    );
  });

  it.each([
    [
      'tells of its load',
      (pressure: Pressure) =>
        adapt(pressure, { sample: IDLE, ceiling: 32, running: 8, peak: pressure.limit }),
    ],
    [
      'tells nothing',
      (pressure: Pressure) => adaptBlindly(pressure, { ceiling: 32, peak: pressure.limit }),
    ],
  ])('gets one more at a time, not before ten seconds: one that %s', (_name, next) => {
    const start = initialPressure({ ceiling: 32, kvTokens: null, maxModelLen: null });
    let pressure = afterRefusal(start, { running: 8 });
    for (let second = 0; second < 10; second += 1) pressure = next(pressure);
    expect(pressure.limit).toBe(8);
    pressure = next(pressure);
    expect(pressure.limit).toBe(9);
    for (let second = 0; second < 100; second += 1) pressure = next(pressure);
    expect(pressure.limit).toBe(32);
  });

  it('gets no more where it has not got what it might', () => {
    const start = initialPressure({ ceiling: 32, kvTokens: null, maxModelLen: null });
    let pressure = afterRefusal(start, { running: 8 });
    for (let second = 0; second < 20; second += 1) {
      pressure = adaptBlindly(pressure, { ceiling: 32, peak: 5 });
    }
    expect(pressure.limit).toBe(8);
  });
});

describe('the number of jobs that an engine gets', () => {
  it.each([
    ['what surely fits', { ceiling: 32, kvTokens: 100_000, maxModelLen: 8_192 }, 12],
    ['no more than the ceiling', { ceiling: 8, kvTokens: 100_000, maxModelLen: 8_192 }, 8],
    ['at least one', { ceiling: 8, kvTokens: 100, maxModelLen: 8_192 }, 1],
    ['the ceiling where the cache is not known', { ceiling: 8, kvTokens: null, maxModelLen: 1 }, 8],
    [
      'the ceiling where the window is not known',
      { ceiling: 8, kvTokens: 1, maxModelLen: null },
      8,
    ],
  ])('begins with %s', (_name, start, limit) => {
    expect(initialPressure(start).limit).toBe(limit);
  });

  it('stays between 1 and the ceiling, and never grows under pressure', () => {
    fc.assert(
      fc.property(starts, steps, (start, all) => {
        let pressure = initialPressure(start);
        let waited = 0;
        let counted: number | null = null;
        for (const { sample, running, peak } of all) {
          const { limit } = pressure;
          waited = (sample.waiting ?? 0) > Math.max(1, limit / 10) ? waited + 1 : 0;
          const preempted =
            counted !== null && sample.preemptions !== null && sample.preemptions > counted;
          const isFull = (sample.kvUsage ?? 0) > 0.9;
          pressure = adapt(pressure, { sample, ceiling: start.ceiling, running, peak });
          counted = sample.preemptions ?? counted;
          expect(pressure.limit).toBeGreaterThanOrEqual(1);
          expect(pressure.limit).toBeLessThanOrEqual(start.ceiling);
          expect(Number.isInteger(pressure.limit)).toBe(true);
          if (preempted || isFull || waited > 0) expect(pressure.limit).toBeLessThanOrEqual(limit);
          if ((preempted || isFull || waited >= 2) && running <= limit && limit > 1) {
            expect(pressure.limit).toBeLessThan(limit);
          }
          if (pressure.limit < limit) waited = 0;
          if (pressure.limit === limit && pressure.waitingScrapes === 0) waited = 0;
        }
      }),
    );
  });

  it('never grows where nobody says that nothing waits, nor where more are free than batches leave', () => {
    fc.assert(
      fc.property(starts, steps, (start, all) => {
        let pressure = initialPressure(start);
        for (const { sample, running, peak } of all) {
          const before = pressure.limit;
          pressure = adapt(pressure, { sample, ceiling: start.ceiling, running, peak });
          if (pressure.limit > before) {
            expect(sample.waiting).toBe(0);
            expect(sample.kvUsage ?? 0).toBeLessThan(0.8);
            expect(peak).toBeGreaterThanOrEqual(Math.min(before, Math.floor(before * 0.8) || 1));
          }
        }
      }),
    );
  });

  it('reaches the ceiling, doubling, where there is room', () => {
    fc.assert(
      fc.property(starts, (start) => {
        let pressure = initialPressure(start);
        const doublings = Math.ceil(Math.log2(start.ceiling / pressure.limit));
        for (let scrape = 0; scrape < doublings; scrape += 1) pressure = busy(pressure, start);
        expect(pressure.limit).toBe(start.ceiling);
      }),
    );
  });

  it('reaches it also where there are batches alone, which leave a headroom', () => {
    fc.assert(
      fc.property(starts, (start) => {
        let pressure = initialPressure(start);
        for (let scrape = 0; scrape < 9; scrape += 1) {
          const peak = Math.floor(pressure.limit * 0.8) || 1;
          const { ceiling } = start;
          pressure = adapt(pressure, { sample: IDLE, ceiling, running: peak, peak });
        }
        expect(pressure.limit).toBe(start.ceiling);
      }),
    );
  });

  it('grows again after pressure, by one, when some scrapes have passed', () => {
    let pressure = initialPressure({ ceiling: 40, kvTokens: null, maxModelLen: null });
    const full = { ...IDLE, kvUsage: 0.95 };
    pressure = adapt(pressure, { sample: full, ceiling: 40, running: 40, peak: 40 });
    const limits = Array.from({ length: 6 }, () => {
      pressure = busy(pressure, { ceiling: 40 });
      return pressure.limit;
    });
    expect(limits).toEqual([32, 32, 32, 33, 34, 35]);
  });

  it('falls once for one overload, however long what runs takes to come down', () => {
    let pressure = initialPressure({ ceiling: 40, kvTokens: null, maxModelLen: null });
    const full = { ...IDLE, kvUsage: 0.95 };
    for (const running of [40, 38, 36, 33]) {
      pressure = adapt(pressure, { sample: full, ceiling: 40, running, peak: running });
    }
    expect(pressure.limit).toBe(32);
    expect(adapt(pressure, { sample: full, ceiling: 40, running: 32, peak: 32 }).limit).toBe(25);
  });

  it('bears that some wait for one scrape, not for two', () => {
    const sample = { ...IDLE, waiting: 11 };
    const options = { sample, ceiling: 100, running: 100, peak: 100 };
    const first = adapt(
      initialPressure({ ceiling: 100, kvTokens: null, maxModelLen: null }),
      options,
    );
    expect(first.limit).toBe(100);
    expect(adapt(first, options).limit).toBe(80);
    const calm = adapt(first, { ...options, sample: { ...IDLE, waiting: 10 } });
    expect(adapt(calm, options).limit).toBe(100);
  });

  it('rests with one that waits, however few slots the engine has', () => {
    const start = { ...initialPressure({ ceiling: 32, kvTokens: 9, maxModelLen: 1 }) };
    const sample = { ...IDLE, waiting: 1 };
    let pressure = start;
    for (let scrape = 0; scrape < 5; scrape += 1) {
      pressure = adapt(pressure, { sample, ceiling: 32, running: 9, peak: 9 });
    }
    expect(pressure.limit).toBe(9);
  });

  it('comes to rest where the cache is nearly used', () => {
    const start = initialPressure({ ceiling: 100, kvTokens: 10, maxModelLen: 1 });
    for (const kvUsage of [0.8, 0.9]) {
      const sample = { ...IDLE, kvUsage };
      expect(adapt(start, { sample, ceiling: 100, running: 10, peak: 10 }).limit).toBe(10);
    }
  });

  it('does not double where twice the load would not fit', () => {
    const slow = initialPressure({ ceiling: 100, kvTokens: 10, maxModelLen: 1 });
    const sample = { ...IDLE, kvUsage: 0.5 };
    expect(adapt(slow, { sample, ceiling: 100, running: 10, peak: 10 }).limit).toBe(11);
  });

  it('does not take the count of a new process for pressure', () => {
    const sample = { ...IDLE, preemptions: 7 };
    let pressure = initialPressure({ ceiling: 10, kvTokens: null, maxModelLen: null });
    for (const preemptions of [7, 7, 3, 3]) {
      pressure = adapt(pressure, {
        sample: { ...sample, preemptions },
        ceiling: 10,
        running: 10,
        peak: 10,
      });
    }
    expect(pressure.limit).toBe(10);
  });
});

describe('against an engine that has room for so many', () => {
  it('settles near that, and is hardly ever preempted', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 100 }),
        ceilings,
        (capacity, sequencesMax, startLimit, ceiling) => {
          const { limits, preemptions } = simulate({
            capacity,
            sequencesMax,
            start: initialPressure({ ceiling, kvTokens: startLimit, maxModelLen: 1 }),
            ceiling,
          });
          const settled = limits.slice(-100);
          // A sequence more or less is a large share of a small cache.
          const most = Math.min(ceiling, capacity + 1, Math.ceil(sequencesMax * 1.1) + 2);
          const least = Math.min(
            ceiling,
            Math.floor(capacity * 0.6),
            Math.floor(sequencesMax * 0.75),
          );
          expect(Math.max(...settled)).toBeLessThanOrEqual(most);
          expect(Math.min(...settled)).toBeGreaterThanOrEqual(Math.max(1, least));
          // All of them while it finds its level: none later, where one sequence is not the cache.
          const later = preemptions.at(-1)! - preemptions.at(-101)!;
          if (capacity >= 10) expect(later).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** There is always a next job, and an engine finishes a tenth of what it has between two scrapes. */
function simulate({
  capacity,
  sequencesMax,
  start,
  ceiling,
}: {
  capacity: number;
  sequencesMax: number;
  start: Pressure;
  ceiling: number;
}): { limits: number[]; preemptions: number[] } {
  let pressure = start;
  let running = 0;
  let preempted = 0;
  const limits: number[] = [];
  const preemptions: number[] = [];
  for (let scrape = 0; scrape < 600; scrape += 1) {
    const kept = running - Math.ceil(running / 10);
    running = Math.max(kept, pressure.limit);
    const admitted = Math.min(running, sequencesMax);
    preempted += Math.max(0, admitted - capacity);
    pressure = adapt(pressure, {
      sample: {
        waiting: running - Math.min(admitted, capacity),
        kvUsage: Math.min(1, admitted / capacity),
        preemptions: preempted,
      },
      ceiling,
      running,
      peak: running,
    });
    limits.push(pressure.limit);
    preemptions.push(preempted);
  }
  return { limits, preemptions };
}

function busy(pressure: Pressure, { ceiling }: { ceiling: number }): Pressure {
  return adapt(pressure, { sample: IDLE, ceiling, running: pressure.limit, peak: pressure.limit });
}
