import type { ProducerStore } from '@qarr/job-store';
import { QarrError, isRaw } from '@qarr/router-core';
import type { JobRecord } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import { findOwn } from '../find-job.ts';
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

export function isResponse(record: JobRecord): record is ResponseRecord {
  return record.response !== undefined && !isRaw(record.request);
}

const ID_CHARS_MAX = 64;

/** As much of an id as an answer repeats. */
export function shownId(id: string): string {
  return id.slice(0, ID_CHARS_MAX);
}

/** In OpenAI's words, by which clients know it. */
export function unknownResponse(id: string): QarrError {
  return new QarrError('response_not_found', {
    message: `Response with id '${shownId(id)}' not found.`,
  });
}
