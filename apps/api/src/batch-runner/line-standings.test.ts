import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LINE_STANDINGS, createLineStandings } from './line-standings.ts';

const TIERS = ['fast', 'precise'];

function linesOf({
  plans,
  done = new Uint8Array(8),
  inSystem = [],
}: {
  plans: readonly string[];
  done?: Uint8Array;
  inSystem?: readonly number[];
}) {
  const planOf = (line: number) => plans[line] ?? '';
  return createLineStandings({ total: plans.length, planOf, done, inSystem });
}

function takeAll(lines: ReturnType<typeof linesOf>, tier: string): number[] {
  const taken: number[] = [];
  for (let line = lines.take(tier); line !== null; line = lines.take(tier)) taken.push(line);
  return taken;
}

describe('the lines of a batch', () => {
  it('are taken in their order, each by the tier that it is planned for', () => {
    const lines = linesOf({ plans: ['fast', 'precise', 'fast', 'precise'] });
    expect(takeAll(lines, 'precise')).toEqual([1, 3]);
    expect(lines.hasPending('precise')).toBe(false);
    expect(takeAll(lines, 'fast')).toEqual([0, 2]);
    expect([lines.inTier('fast'), lines.inTier('precise')]).toEqual([2, 2]);
  });

  it('are not fed where they have an outcome or a job already', () => {
    const plans = Array.from({ length: 10 }, () => 'fast');
    // The first and the ninth are done.
    const lines = linesOf({ plans, done: Uint8Array.of(0x80, 0x80), inSystem: [3] });
    expect(takeAll(lines, 'fast')).toEqual([1, 2, 4, 5, 6, 7, 9]);
    expect(lines.count('done')).toBe(2);
    expect(lines.inSystem()).toEqual([3]);
  });

  it('are tried again where they were given back, before those that come later', () => {
    const lines = linesOf({ plans: ['fast', 'fast', 'fast'] });
    expect([lines.take('fast'), lines.take('fast')]).toEqual([0, 1]);
    lines.giveBack(1, 'precise');
    lines.giveBack(0, null);
    expect(takeAll(lines, 'precise')).toEqual([1]);
    expect(takeAll(lines, 'fast')).toEqual([0, 2]);
  });

  it('have one outcome, also where the job ends before its feeder hears that it is in', () => {
    const lines = linesOf({ plans: ['fast'] });
    lines.take('fast');
    expect(lines.collected(0)).toBe(true);
    lines.fed(0, 'fast');
    lines.giveBack(0, null);
    expect(lines.collected(0)).toBe(false);
    expect([...lines.collectedLines()]).toEqual([0]);
    expect(lines.inTier('fast')).toBe(0);
    lines.done([0]);
    expect(lines.collectedLines().size).toBe(0);
    expect(lines.count('done')).toBe(1);
  });

  it('are fed again where their jobs were lost, and not where a job was found', () => {
    const lines = linesOf({ plans: ['fast', 'fast'], inSystem: [0] });
    lines.lost(0);
    lines.found(1);
    expect(takeAll(lines, 'fast')).toEqual([0]);
    expect(lines.inSystem()).toEqual([1]);
  });

  it('stand in exactly one place, whatever happens', () => {
    const steps = fc.array(fc.tuple(fc.nat(6), fc.nat(9), fc.constantFrom(...TIERS)), {
      maxLength: 60,
    });
    const plans = fc.array(fc.constantFrom(...TIERS), { minLength: 10, maxLength: 10 });
    fc.assert(
      fc.property(plans, steps, (planned, all) => {
        const lines = linesOf({ plans: planned });
        const outcomes = new Set<number>();
        for (const [what, line, tier] of all) {
          if (what === 0) lines.take(tier);
          if (what === 1) lines.giveBack(line, tier);
          if (what === 2) lines.fed(line, tier);
          if (what === 3) lines.lost(line);
          if (what === 4) lines.found(line);
          if (what === 5 && lines.collected(line)) {
            expect(outcomes.has(line)).toBe(false);
            outcomes.add(line);
          }
          if (what === 6) lines.done([...lines.collectedLines()]);
          const counts = LINE_STANDINGS.map((standing) => lines.count(standing));
          expect(Math.min(...counts)).toBeGreaterThanOrEqual(0);
          expect(counts.reduce((sum, count) => sum + count, 0)).toBe(10);
          const inTiers = TIERS.reduce((sum, name) => sum + lines.inTier(name), 0);
          expect(inTiers).toBe(lines.count('taken') + lines.count('in_system'));
        }
        // Whoever is left comes to its turn.
        const left = lines.pending(10);
        const taken = TIERS.flatMap((tier) => takeAll(lines, tier));
        expect(taken.toSorted((one, other) => one - other)).toEqual(left);
      }),
    );
  });
});
