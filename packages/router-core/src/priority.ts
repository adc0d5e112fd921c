import type { JobClass } from './job.ts';

/**
 * BullMQ priorities: lower is served first, and 0 would overtake all others. Each class has a band
 * of the range 1 to 2^21 - 1, wide enough to order jobs inside it later. Its first place is for
 * jobs that come back from a worker: they have waited their turn, and somebody may be reading.
 */
const FIRST_OF_CLASS: Readonly<Record<JobClass, number>> = {
  interactive: 1,
  standard: 700_000,
  batch: 1_400_000,
};

/** Of a new job. */
export function queuePriority(jobClass: JobClass): number {
  return FIRST_OF_CLASS[jobClass] + 1;
}

/** Of a job that is to be tried again, or carried on by another worker. */
export function returningPriority(jobClass: JobClass): number {
  return FIRST_OF_CLASS[jobClass];
}
