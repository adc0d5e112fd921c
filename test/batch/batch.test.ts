/** A small run of the whole: real processes, some of them killed, and each line has its outcome once. */
import { expect, test } from 'vitest';
import { runBatch } from './run.ts';
import { SMALL_WORLD } from './shape.ts';

const TIMEOUT_MS = 240_000;
const LINES = 300;

test(
  'loses no line and doubles none, whatever dies in between',
  { timeout: TIMEOUT_MS },
  async () => {
    const { violations, evidence, figures } = await runBatch({
      seed: 'a small one',
      lines: LINES,
      kills: [
        { kind: 'worker', at: 0.1 },
        { kind: 'runner', at: 0.3 },
        { kind: 'redis', at: 0.6 },
      ],
      streams: 3,
      baselineMs: 0,
      tokens: [4, 12],
      pollEveryMs: 50,
      overWithinMs: 120_000,
      shape: SMALL_WORLD,
    });
    expect(violations).toEqual([]);
    // Else nothing was tested.
    expect(evidence.batch.request_counts.total).toBe(LINES);
    expect(evidence.batch.request_counts.failed).toBeGreaterThan(0);
    expect(figures.compared).toBe(evidence.batch.request_counts.completed);
    expect(evidence.kills.map(({ kind }) => kind)).toEqual(['worker', 'runner', 'redis']);
    expect(evidence.streams.length).toBeGreaterThan(3);
    expect(Object.keys(figures.byTier).toSorted()).toEqual(['fast', 'none', 'precise']);
  },
);
