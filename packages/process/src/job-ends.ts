import { TERMINAL_STATES, jobClassSchema } from '@qarr/router-core';
import type { JobChange } from '@qarr/router-core';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

/**
 * Counts the jobs that a process has ended. Each end is the doing of one process: the sum over all of
 * them has each once.
 */
export function createJobEnds(
  registers: Registry[],
  { tiers = [] }: { tiers?: readonly string[] } = {},
): (change: Pick<JobChange, 'tier' | 'class' | 'to'>) => void {
  const jobs = new Counter({
    name: 'qarr_jobs_total',
    help: 'Jobs that this process has ended, by outcome',
    labelNames: ['tier', 'class', 'outcome'] as const,
    registers,
  });
  // So that the first of its kind is an increase.
  for (const tier of tiers) {
    for (const jobClass of jobClassSchema.options) {
      for (const outcome of TERMINAL_STATES) jobs.inc({ tier, class: jobClass, outcome }, 0);
    }
  }
  return ({ tier, class: jobClass, to }) => {
    const outcome = TERMINAL_STATES.find((state) => state === to);
    if (outcome !== undefined) jobs.inc({ tier, class: jobClass, outcome });
  };
}
