import { QarrError } from '@qarr/router-core';
import type { JobRecord, JobResult } from '@qarr/router-core';

/**
 * The result of a job that has ended. Throws the error of one that did not complete: clients take any
 * answer with status 200 for a good one.
 */
export function answerOf({
  result,
  state,
  error,
}: Pick<JobRecord, 'result' | 'state' | 'error'>): JobResult {
  if (state === 'cancelled') throw new QarrError('job_cancelled');
  if (error !== null) throw new QarrError(error.code, { message: error.message });
  if (result === null) throw new QarrError('internal_error');
  return result;
}
