/** One attempt at a job as a span, in the trace of the request that made the job. */
import type { ClaimedJob } from '@qarr/job-store';
import type { Span, Tracing } from '@qarr/process';
import type { JobClass } from '@qarr/router-core';
import type { Conclusion } from './conclusion.ts';

export function beginAttemptSpan(
  job: ClaimedJob,
  {
    tracing,
    tier,
    worker,
    class: jobClass,
  }: {
    tracing: Pick<Tracing, 'span'>;
    tier: string;
    worker: string;
    class: JobClass;
  },
): Span {
  const { jobId, attempt, deaths, traceparent: parent } = job;
  if (attempt === 1) traceWait(job, tracing);
  const span = tracing.span('attempt', {
    kind: 'consumer',
    parent,
    attributes: {
      'qarr.job.id': jobId,
      'qarr.job.class': jobClass,
      'qarr.tier': tier,
      'qarr.worker.id': worker,
      'qarr.attempt': attempt,
      // The spans of those that died are lost with them.
      'qarr.job.deaths': deaths,
    },
  });
  if (job.isReset) span.event('reset');
  return span;
}

/** Of later attempts nobody has noted since when they waited. */
function traceWait({ queueWaitMs, traceparent }: ClaimedJob, tracing: Pick<Tracing, 'span'>): void {
  const beganAt = Date.now() - Math.max(0, queueWaitMs);
  tracing.span('queue_wait', { kind: 'consumer', parent: traceparent, beganAt }).end();
}

/** What became of it, as far as it is written. */
export type AttemptOutcome =
  | 'completed'
  | 'failed'
  | 'cancelled'
  | 'expired'
  | 'tried_again'
  | 'handed_back'
  | 'superseded';

export function noteOutcome(span: Span, outcome: AttemptOutcome, errorType?: string): void {
  span.set({ 'qarr.attempt.outcome': outcome });
  if (errorType !== undefined) span.fail(errorType);
}

export function outcomeOf(conclusion: Exclude<Conclusion, { kind: 'leave' }>): AttemptOutcome {
  if (conclusion.kind === 'finish') return conclusion.ending.event.type;
  return conclusion.failure === null ? 'handed_back' : 'tried_again';
}
