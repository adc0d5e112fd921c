import { describe, expect, it } from 'vitest';
import { jobClassSchema } from './job.ts';
import { queuePriority } from './priority.ts';

/** BullMQ's own limit. */
const PRIORITY_MAX = 2 ** 21 - 1;

describe('the priority of a class', () => {
  it('is a number that the queue takes, and never the 0 that overtakes all', () => {
    for (const jobClass of jobClassSchema.options) {
      const priority = queuePriority(jobClass);
      expect(Number.isInteger(priority)).toBe(true);
      expect(priority).toBeGreaterThanOrEqual(1);
      expect(priority).toBeLessThanOrEqual(PRIORITY_MAX);
    }
  });

  it('puts connected clients before jobs, and jobs before batches', () => {
    const priorities = (['interactive', 'standard', 'batch'] as const).map(queuePriority);
    expect(priorities).toEqual(priorities.toSorted((a, b) => a - b));
    expect(new Set(priorities).size).toBe(jobClassSchema.options.length);
  });
});
