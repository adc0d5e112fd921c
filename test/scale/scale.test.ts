/** A tier that grows and shrinks under load: real processes, on each kind of Redis, and nothing lost. */
import { describe, expect, it } from 'vitest';
import { totals } from './figures.ts';
import { REDIS_KINDS } from './redis.ts';
import { runScale } from './run.ts';
import type { ScaleResult } from './run.ts';

const TIMEOUT_MS = 300_000;
const SLOTS = 3;
const SIZES = [1, 3, 1] as const;

describe('a tier whose workers have one engine each', () => {
  it.each(REDIS_KINDS)(
    'gets more done with more of them, and loses nothing with fewer (%s)',
    { timeout: TIMEOUT_MS },
    async (redis) => {
      const result = await runScale({
        seed: 'a short one',
        redis,
        apis: 1,
        sizes: SIZES,
        // It goes on as soon as all slots have a job.
        phaseMs: 0,
        slots: SLOTS,
        streams: 12,
        tokens: [60, 120],
        timeScale: 1,
        drainMs: 200,
        ending: redis === 'single' ? 'orderly' : 'together',
      });
      expect(result.violations).toEqual([]);
      const jobsAtOnce = result.phases.map(({ settled }) => settled.length * SLOTS);
      expect(jobsAtOnce).toEqual(SIZES.map((size) => size * SLOTS));
      expect(workersOf(result).size).toBe(Math.max(...SIZES));
      expect(totals(result).carriedOn).toBeGreaterThan(0);
    },
  );
});

function workersOf({ streams }: ScaleResult): ReadonlySet<string> {
  return new Set(streams.flatMap(({ workers }) => workers));
}
