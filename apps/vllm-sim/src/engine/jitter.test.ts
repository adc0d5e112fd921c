import { expect, test } from 'vitest';
import { createJitter } from './jitter.ts';

function factors(seed: number, sigma: number): number[] {
  const jitter = createJitter({ seed, sigma });
  return Array.from({ length: 20_000 }, () => jitter());
}

test('the same seed gives the same factors, another seed others', () => {
  expect(factors(3, 0.05)).toEqual(factors(3, 0.05));
  expect(factors(3, 0.05)[0]).not.toBe(factors(4, 0.05)[0]);
  expect(factors(3, 0.05)[0]).not.toBe(factors(3 + 2 ** 32, 0.05)[0]);
});

test('the factors have mean 1 and the spread that was asked for', () => {
  const all = factors(1, 0.05);
  expect(mean(all)).toBeCloseTo(1, 2);
  const logs = all.map(Math.log);
  const center = mean(logs);
  expect(Math.sqrt(mean(logs.map((log) => (log - center) ** 2)))).toBeCloseTo(0.05, 2);
});

test('sigma 0 is no noise', () => {
  expect(new Set(factors(1, 0))).toEqual(new Set([1]));
});

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
