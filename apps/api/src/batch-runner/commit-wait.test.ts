import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commitWaitMs } from './commit-wait.ts';

const WEEK_MS = 7 * 86_400_000;

describe('the wait for a commit', () => {
  it('is short at first, then a share of the age of the batch, up to its limit', () => {
    const waits = [0, 100_000, 500_000, WEEK_MS].map((ageMs) =>
      commitWaitMs({ ageMs, segments: 0, waitMsMax: 4_000 }),
    );
    expect(waits).toEqual([500, 1_000, 4_000, 4_000]);
  });

  it('leaves a batch with two thousand segments at most, however its lines end', () => {
    const waitsMax = fc.integer({ min: 50, max: 60_000 });
    // Between a commit and the end of the next line: mostly one ends at once.
    const gaps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_600_000 })), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(waitsMax, gaps, (waitMsMax, pauses) => {
        let [ageMs, segments] = [0, 0];
        while (ageMs < WEEK_MS && segments <= 2_000) {
          ageMs += pauses[segments % pauses.length] ?? 0;
          ageMs += commitWaitMs({ ageMs, segments, waitMsMax });
          segments += 1;
        }
        expect(segments).toBeLessThanOrEqual(2_000);
      }),
      { examples: [[50, [0]]] },
    );
  });
});
