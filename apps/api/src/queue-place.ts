/** What a client is told of the place of its job: 1 is next, and how long that may take. */
import type { Found, QueuePlace } from '@qarr/job-store';
import { equalOrHigherClasses, estimateWaitMs } from '@qarr/router-core';
import type { Ahead, JobClass, TierLoad, TierSnapshot } from '@qarr/router-core';

/** Of a job that has just found this in its tier. */
export function placeFound(
  tier: TierSnapshot,
  { class: jobClass, found: { load, ahead } }: { class: JobClass; found: Found },
): QueuePlace {
  return {
    position: Math.max(1, ahead.jobs - otherQueue(load, jobClass) + 1),
    estimatedWaitMs: estimateWaitMs({ ...tier, load }, { class: jobClass, ahead }),
  };
}

/** Of a job that waits at this position; each before it costs what those that wait cost on average. */
export function placeAt(
  tier: TierSnapshot,
  { class: jobClass, position }: { class: JobClass; position: number },
): QueuePlace {
  const waiting = equalOrHigherClasses(tier.load, jobClass);
  const jobs = position - 1 + otherQueue(tier.load, jobClass);
  const meanTokens = waiting.jobs === 0 ? 0 : waiting.tokens / waiting.jobs;
  const ahead: Ahead = { jobs, tokens: jobs * meanTokens };
  return { position, estimatedWaitMs: estimateWaitMs(tier, { class: jobClass, ahead }) };
}

/** Batches have a queue of their own, in which they count, and all others go before them. */
function otherQueue({ waiting }: TierLoad, jobClass: JobClass): number {
  return jobClass === 'batch' ? waiting.interactive.jobs + waiting.standard.jobs : 0;
}
