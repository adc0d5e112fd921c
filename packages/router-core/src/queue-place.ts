/** What a client is told of the place of its job: 1 is next, and how long that may take. */
import type { JobClass } from './job.ts';
import type { Ahead, TierLoad } from './tier-load.ts';
import type { TierPace } from './tier-snapshot.ts';
import { equalOrHigherClasses, estimateWaitMs } from './wait-estimate.ts';

export interface QueuePlace {
  /** 1 is next. */
  readonly position: number;
  /** Null when nobody can tell. */
  readonly estimatedWaitMs: number | null;
}

/** Of a job that has just found this in its tier. `place.lua` says the same, in the step that writes it. */
export function placeFound(
  pace: TierPace,
  { class: jobClass, load, ahead }: { class: JobClass; load: TierLoad; ahead: Ahead },
): QueuePlace {
  return {
    position: Math.max(1, ahead.jobs - otherQueue(load, jobClass) + 1),
    estimatedWaitMs: estimateWaitMs({ ...pace, load }, { class: jobClass, ahead }),
  };
}

/** Of a job that waits at this position; each before it costs what those that wait cost on average. */
export function placeAt(
  tier: TierPace & { readonly load: TierLoad },
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
