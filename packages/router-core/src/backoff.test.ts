import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fullJitterMs } from './backoff.ts';

describe('full jitter', () => {
  it.each([
    [1, 99],
    [2, 199],
    [3, 399],
    [4, 799],
    [5, 999],
    [5000, 999],
  ])('after %i failures is at most %i ms', (attempt, mostMs) => {
    const wait = { attempt, baseMs: 100, capMs: 1000 };
    expect(fullJitterMs({ ...wait, random: 1 - Number.EPSILON / 2 })).toBe(mostMs);
    expect(fullJitterMs({ ...wait, random: 0.5 })).toBe((mostMs + 1) / 2);
    expect(fullJitterMs({ ...wait, random: 0 })).toBe(0);
  });

  it('is a whole number from 0 to below the cap and the ceiling of the attempt', () => {
    const wait = fc.record({
      attempt: fc.integer({ min: 1, max: 2000 }),
      baseMs: fc.integer({ min: 1, max: 60_000 }),
      capMs: fc.integer({ min: 1, max: 3_600_000 }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(wait, (any) => {
        const ms = fullJitterMs(any);
        expect(Number.isSafeInteger(ms)).toBe(true);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(Math.min(any.capMs, any.baseMs * 2 ** (any.attempt - 1)));
      }),
    );
  });
});
