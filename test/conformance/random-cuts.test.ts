import { describe, expect, inject, it } from 'vitest';
import { knownPersonas } from './persona.ts';
import { cutAtRandom } from './random-cuts.ts';

const JOBS = 1_000;
const RUN_TIMEOUT_MS = 300_000;

describe('a thousand answers that break at a random byte', () => {
  it.each(knownPersonas().filter(({ name }) => ['current', '0.6.4'].includes(name)))(
    'are whole when they are completed, by $name',
    async (persona) => {
      const counts = await cutAtRandom({ redisUrl: inject('redisUrl'), persona, jobs: JOBS });
      console.error(counts);
      expect(counts.problems).toEqual([]);
      expect(counts.completed + counts.failed).toBe(JOBS);
      expect(counts.continued).toBeGreaterThan(JOBS / 10);
    },
    RUN_TIMEOUT_MS,
  );
});
