import { expect, it } from 'vitest';
import { duration } from './request-limits.ts';

it.each([
  [0, '0ms'],
  [12, '12ms'],
  [999, '999ms'],
  [999.2, '1000ms'],
  [1_000, '1s'],
  [1_001, '2s'],
  [59_001, '1m0s'],
  [360_000, '6m0s'],
  [3_599_500, '1h0m0s'],
  [86_345_000, '23h59m5s'],
])('%d ms are written as %s', (ms, text) => {
  expect(duration(ms)).toBe(text);
});
