import { TERMINAL_STATES, jobClassSchema } from '@qarr/router-core';
import type { ErrorCode, JobChange } from '@qarr/router-core';
import { Counter } from 'prom-client';
import type { Registry } from 'prom-client';

export type CountJobEnd = (
  change: Pick<JobChange, 'tier' | 'class' | 'to' | 'wasOpen' | 'cause'>,
) => void;

/** A job that is deleted before it had another end has this one. */
const OUTCOMES = [...TERMINAL_STATES, 'deleted'] as const;

/** What jobs are known to fail of; another one would be counted as well. */
const CAUSES: readonly ErrorCode[] = [
  'upstream_error',
  'upstream_interrupted',
  'upstream_timeout',
  'upstream_rejected',
  'context_length_exceeded',
  'run_timeout',
  'worker_lost',
  'poison',
];

/**
 * Counts the jobs that a process has ended. Each end is the doing of one process: the sum over all of
 * them has each once.
 *
 * @returns is told of every change, and counts those that are an end
 */
export function createJobEnds(
  registers: Registry[],
  { tiers = [] }: { tiers?: readonly string[] } = {},
): CountJobEnd {
  const jobs = new Counter({
    name: 'qarr_jobs_total',
    help: 'Jobs that this process has ended, by outcome',
    labelNames: ['tier', 'class', 'outcome'] as const,
    registers,
  });
  const failed = new Counter({
    name: 'qarr_jobs_failed_total',
    help: 'Of these the failed ones, by the code of their error',
    labelNames: ['tier', 'cause'] as const,
    registers,
  });
  // So that the first of its kind is an increase.
  for (const tier of tiers) {
    for (const cause of CAUSES) failed.inc({ tier, cause }, 0);
    for (const jobClass of jobClassSchema.options) {
      for (const outcome of OUTCOMES) jobs.inc({ tier, class: jobClass, outcome }, 0);
    }
  }
  return ({ tier, class: jobClass, to, wasOpen = false, cause = 'unknown' }) => {
    const outcome = OUTCOMES.find((one) => one === to);
    if (outcome === undefined || (outcome === 'deleted' && !wasOpen)) return;
    jobs.inc({ tier, class: jobClass, outcome });
    if (outcome === 'failed') failed.inc({ tier, cause });
  };
}
