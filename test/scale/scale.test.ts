/**
 * A tier that grows and shrinks under load, and a system that is restored: real processes, on each kind of
 * Redis, and nothing lost. All at once: most of each is waiting.
 */
import { describe, expect, it } from 'vitest';
import { totals } from './figures.ts';
import { REDIS_KINDS } from './redis.ts';
import { restoreFromBackup } from './restore.ts';
import { runScale } from './run.ts';
import type { ScaleResult } from './run.ts';

const TIMEOUT_MS = 300_000;
const SLOTS = 2;
const SIZES = [1, 3, 1] as const;

/** Jobs that a worker which ended has handed back with their text. */
let carriedOn = 0;

describe.concurrent('a system under load', () => {
  it.each(REDIS_KINDS)(
    'gets more done with more workers, and loses nothing with fewer (Redis: %s)',
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
        streams: 7,
        tokens: [150, 200],
        timeScale: 1,
        // What runs is handed back at once.
        drainMs: 0,
        ending: redis === 'single' ? 'orderly' : 'together',
      });
      expect(result.violations).toEqual([]);
      const jobsAtOnce = result.phases.map(({ settled }) => settled.length * SLOTS);
      expect(jobsAtOnce).toEqual(SIZES.map((size) => size * SLOTS));
      expect(workersOf(result).size).toBe(Math.max(...SIZES));
      carriedOn += totals(result).carriedOn;
    },
  );

  it('goes on from a backup of Redis with what it held', { timeout: TIMEOUT_MS }, async () => {
    const { doneStatus, lateStatus, open, jobs } = await restoreFromBackup();
    expect({ doneStatus, lateStatus }).toEqual({ doneStatus: 200, lateStatus: 404 });
    for (const { text, expected, ...job } of open) {
      expect(job).toMatchObject({ status: 'completed', isGapless: true, terminalEvents: 1 });
      expect(text).toBe(expected);
    }
    expect(jobs).toHaveLength(open.length + 1);
  });
});

it('hands back what workers that end have begun, with its text', () => {
  // In one world all answers may just have ended.
  expect(carriedOn).toBeGreaterThan(0);
});

function workersOf({ streams }: ScaleResult): ReadonlySet<string> {
  return new Set(streams.flatMap(({ workers }) => workers));
}
