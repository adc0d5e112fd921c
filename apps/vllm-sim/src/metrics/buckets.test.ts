import { expect, test } from 'vitest';
import { oneTwoFiveBuckets } from './buckets.ts';

test('token counts have buckets of 1, 2 and 5 up to the window', () => {
  expect(oneTwoFiveBuckets(100)).toEqual([1, 2, 5, 10, 20, 50, 100]);
  expect(oneTwoFiveBuckets(8192).at(-1)).toBe(5000);
});
