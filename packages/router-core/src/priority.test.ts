import { describe, expect, it } from 'vitest';
import { jobClassSchema } from './job.ts';
import { queuePriority, returningPriority } from './priority.ts';

/** BullMQ's own limit. */
const PRIORITY_MAX = 2 ** 21 - 1;

describe('the priority of a class', () => {
  it('is a number that the queue takes, and never the 0 that overtakes all', () => {
    for (const jobClass of jobClassSchema.options) {
      for (const priority of [queuePriority(jobClass), returningPriority(jobClass)]) {
        expect(Number.isInteger(priority)).toBe(true);
        expect(priority).toBeGreaterThanOrEqual(1);
        expect(priority).toBeLessThanOrEqual(PRIORITY_MAX);
      }
    }
  });

  it('puts connected clients before jobs, jobs before batches, and in each who comes back first', () => {
    const classes = ['interactive', 'standard', 'batch'] as const;
    const priorities = classes.flatMap((name) => [returningPriority(name), queuePriority(name)]);
    expect(priorities).toEqual(priorities.toSorted((a, b) => a - b));
    expect(new Set(priorities).size).toBe(2 * jobClassSchema.options.length);
  });
});
