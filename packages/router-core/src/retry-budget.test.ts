import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSuccess, fullRetryBudget, takeRetry } from './retry-budget.ts';

/** Retries at one moment that need not wait. */
function freeRetries(budget = fullRetryBudget(0), nowMs = 0): number {
  let retries = 0;
  for (let next = takeRetry(budget, nowMs); next.delayMs === 0; retries += 1) {
    next = takeRetry(next.budget, nowMs);
  }
  return retries;
}

describe('a budget for retries', () => {
  it('lets a hundred go at once, and each further one a second later', () => {
    expect(freeRetries()).toBe(100);
    let budget = fullRetryBudget(0);
    const delays = Array.from({ length: 102 }, () => {
      const taken = takeRetry(budget, 0);
      ({ budget } = taken);
      return taken.delayMs;
    });
    expect(delays.slice(99)).toEqual([0, 1_000, 2_000]);
  });

  it('is filled by time, and by a tenth for each success, but never above a hundred', () => {
    let budget = { tokens: 0, atMs: 0 };
    for (let success = 0; success < 105; success += 1) budget = addSuccess(budget, 0);
    expect(freeRetries(budget)).toBe(10);
    expect(freeRetries({ tokens: 0, atMs: 0 }, 7_000)).toBe(7);
    expect(freeRetries(fullRetryBudget(0), 3_600_000)).toBe(100);
    for (let success = 0; success < 5_000; success += 1) budget = addSuccess(budget, 0);
    expect(freeRetries(budget)).toBe(100);
  });

  it('lets nobody wait for more than a minute', () => {
    let budget = fullRetryBudget(0);
    for (let retry = 0; retry < 1_000; retry += 1) ({ budget } = takeRetry(budget, 0));
    expect(takeRetry(budget, 0).delayMs).toBe(60_000);
  });

  it('allows a hundred, a tenth of the successes and one per second, and delays none for ever', () => {
    const steps = fc.array(
      fc.record({ waitMs: fc.nat(3_000), does: fc.constantFrom('retry', 'success') }),
      { maxLength: 400 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        let budget = fullRetryBudget(0);
        let nowMs = 0;
        let successes = 0;
        let retriedBy: number[] = [];
        for (const { waitMs, does } of all) {
          nowMs += waitMs;
          if (does === 'success') {
            budget = addSuccess(budget, nowMs);
            successes += 1;
            continue;
          }
          const taken = takeRetry(budget, nowMs);
          ({ budget } = taken);
          expect(taken.delayMs).toBeGreaterThanOrEqual(0);
          expect(taken.delayMs).toBeLessThanOrEqual(60_000);
          // Who waits longest is let go as the others beyond the debt are.
          if (taken.delayMs < 60_000) retriedBy = [...retriedBy, nowMs + taken.delayMs];
        }
        for (const byMs of retriedBy) {
          const made = retriedBy.filter((ms) => ms <= byMs).length;
          expect(made).toBeLessThanOrEqual(100 + successes / 10 + byMs / 1_000 + 0.001);
        }
      }),
    );
  });
});
