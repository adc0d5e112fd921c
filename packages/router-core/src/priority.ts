import type { JobClass } from './job.ts';

/**
 * BullMQ priorities: lower is served first, and 0 would overtake all others. Each class has a band
 * of the range 1 to 2^21 - 1, wide enough to order jobs inside it later.
 */
const FIRST_OF_CLASS: Readonly<Record<JobClass, number>> = {
  interactive: 1,
  standard: 700_000,
  batch: 1_400_000,
};

export function queuePriority(jobClass: JobClass): number {
  return FIRST_OF_CLASS[jobClass];
}
