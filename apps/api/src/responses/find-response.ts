import type { ProducerStore } from '@qarr/job-store';
import { QarrError, isRaw } from '@qarr/router-core';
import type { JobRecord } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import { findJob } from '../find-job.ts';
import { jobIdOfResponse } from './response-ids.ts';
import type { ResponseRecord } from './response-object.ts';

/** A response of the caller's own that it may look up; of any other it is told that there is none. */
export async function findResponse(
  id: string,
  caller: Pick<Caller, 'owner'>,
  deps: { store: Pick<ProducerStore, 'get'> },
): Promise<ResponseRecord> {
  const jobId = jobIdOfResponse(id);
  const record = jobId === null ? null : await findOwn(jobId, caller, deps);
  if (record === null || !isResponse(record) || !record.response.store) throw unknownResponse(id);
  return record;
}

/** Null where it has none of its own with this id. */
export async function findOwn(
  jobId: string,
  caller: Pick<Caller, 'owner'>,
  deps: { store: Pick<ProducerStore, 'get'> },
): Promise<JobRecord | null> {
  try {
    return await findJob(jobId, caller, deps);
  } catch (error) {
    if (error instanceof QarrError && error.code === 'job_not_found') return null;
    throw error;
  }
}

export function isResponse(record: JobRecord): record is ResponseRecord {
  return record.response !== undefined && !isRaw(record.request);
}

/** Of an id that may be repeated in an answer. */
const ID_CHARS_MAX = 64;

/** In OpenAI's words, by which clients know it. */
export function unknownResponse(id: string): QarrError {
  return new QarrError('response_not_found', {
    message: `Response with id '${id.slice(0, ID_CHARS_MAX)}' not found.`,
  });
}
