import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { shareOf } from './workers.ts';

const urls = fc.uniqueArray(fc.webUrl(), { minLength: 1, maxLength: 64 });

test('every worker has an engine, every engine a worker, and as few workers as can be', () => {
  fc.assert(
    fc.property(urls, fc.integer({ min: 1, max: 16 }), (engines, workers) => {
      const shares = Array.from({ length: workers }, (_, index) =>
        shareOf(engines, { index, workers }),
      );
      expect(shares.every((share) => share.length > 0)).toBe(true);
      expect(new Set(shares.flat())).toEqual(new Set(engines));
      const usersOf = engines.map((url) => shares.filter((share) => share.includes(url)).length);
      expect(Math.max(...usersOf)).toBeLessThanOrEqual(Math.ceil(workers / engines.length));
    }),
  );
});
