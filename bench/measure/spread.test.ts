import fc from 'fast-check';
import { expect, it } from 'vitest';
import { percentilesOf } from '../../test/overload/figures/statistics.ts';
import { rotated, spreadOf } from './spread.ts';

const numbers = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1 });

it('gives the smallest, the largest and the middle, as counting does', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const found = spreadOf(values);
      if (found === null) throw new Error('There is no spread');
      expect(found.n).toBe(values.length);
      expect(found.min).toBe(Math.min(...values));
      expect(found.max).toBe(Math.max(...values));
      const below = values.filter((value) => value < found.median).length;
      const above = values.filter((value) => value > found.median).length;
      expect(below).toBeLessThanOrEqual(values.length / 2);
      expect(above).toBeLessThanOrEqual(values.length / 2);
    }),
  );
});

it('takes the mean of the two in the middle', () => {
  expect(spreadOf([4, 1, 3, 2])?.median).toBe(2.5);
  expect(spreadOf([7])).toEqual({ n: 1, median: 7, min: 7, max: 7 });
  expect(spreadOf([])).toBeNull();
});

it('gives percentiles that were measured, each with so many below it', () => {
  fc.assert(
    fc.property(numbers, (values) => {
      const found = percentilesOf(values);
      if (found === null) throw new Error('There are no percentiles');
      for (const [name, share] of [
        ['p50', 0.5],
        ['p95', 0.95],
        ['p99', 0.99],
      ] as const) {
        const value = found[name];
        expect(values).toContain(value);
        const atMost = values.filter((one) => one <= value).length;
        const less = values.filter((one) => one < value).length;
        expect(atMost).toBeGreaterThanOrEqual(share * values.length);
        expect(less).toBeLessThan(share * values.length);
      }
    }),
  );
});

it('puts each path first in turn, and loses none', () => {
  expect(rotated(['a', 'b', 'c'], 0)).toEqual(['a', 'b', 'c']);
  expect(rotated(['a', 'b', 'c'], 1)).toEqual(['b', 'c', 'a']);
  expect(rotated(['a', 'b', 'c'], 5)).toEqual(['c', 'a', 'b']);
  expect(rotated([], 3)).toEqual([]);
});
