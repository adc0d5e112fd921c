import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { costOf, expectedCost } from './tier-load.ts';

const request = { promptTokens: 0, minTokens: 0, maxTokens: 500, typicalTokens: 90 };

describe('what a job is expected to cost', () => {
  it.each<[string, Partial<Parameters<typeof expectedCost>[0]>, number]>([
    ['is what answers of the tier do', {}, 90],
    ['is no more than it may', { maxTokens: 20 }, 20],
    ['is no less than it must', { minTokens: 300 }, 300],
    ['is all that it may, where nothing is known', { typicalTokens: null }, 500],
    ['counts its prompt at a sixteenth', { promptTokens: 160 }, 100],
    ['is something in any case', { maxTokens: 0, typicalTokens: 0 }, 1],
  ])('%s', (_name, changes, cost) => {
    expect(expectedCost({ ...request, ...changes })).toBe(cost);
  });

  it('is never more than all that it may cost', () => {
    const tokens = fc.nat(10_000);
    fc.assert(
      fc.property(
        tokens,
        tokens,
        tokens,
        fc.option(tokens),
        (promptTokens, least, more, typicalTokens) => {
          const maxTokens = least + more;
          const most = costOf({ promptTokens, generatedTokens: maxTokens });
          const cost = expectedCost({ promptTokens, minTokens: least, maxTokens, typicalTokens });
          expect(cost).toBeLessThanOrEqual(most);
          expect(cost).toBeGreaterThanOrEqual(Math.min(least, most));
        },
      ),
    );
  });
});
