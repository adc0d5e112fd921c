/** The lines of the log that tell a job's life: one for each change of its state. */
import { parseTraceparent } from '@qarr/router-core';
import type { JobChange } from '@qarr/router-core';
import type { Logger } from './logger.ts';

/** Fields and messages are listed in `docs/logs.md`. */
export function logJobChange(
  log: Pick<Logger, 'info' | 'warn'>,
  { to, ...job }: JobChange,
  more: Readonly<Record<string, unknown>> = {},
): void {
  const level = to === 'failed' ? 'warn' : 'info';
  log[level]({ ...jobFields(job), state: to, cause: job.cause, ...more }, `job ${to}`);
}

/** What names a job in a line. */
export function jobFields({
  jobId,
  requestId,
  traceparent,
  tier,
  class: jobClass,
  attempt,
}: Omit<JobChange, 'to'>) {
  return {
    job_id: jobId,
    request_id: requestId ?? undefined,
    trace_id: traceIdOf(traceparent),
    tier,
    class: jobClass,
    attempt,
  };
}

export function traceIdOf(traceparent: string | null): string | undefined {
  return traceparent === null ? undefined : parseTraceparent(traceparent)?.traceId;
}
