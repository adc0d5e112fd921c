import { describe, expect, inject, it } from 'vitest';
import { CUTS, cutAtRandom } from './random-cuts.ts';

const RUN_TIMEOUT_MS = 300_000;

describe('answers that break at a random byte', () => {
  it.each(CUTS)(
    'are whole when they are completed: $jobs of $persona.name',
    async ({ persona, jobs }) => {
      const counts = await cutAtRandom({ redisUrl: inject('redisUrl'), persona, jobs });
      expect(counts.problems).toEqual([]);
      expect(counts.completed + counts.failed).toBe(jobs);
      // Else it was no test.
      expect(counts.broken).toBeGreaterThan(jobs / 4);
      expect(counts.continued).toBeGreaterThan(jobs / 10);
    },
    RUN_TIMEOUT_MS,
  );
});
