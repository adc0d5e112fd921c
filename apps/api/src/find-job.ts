import type { ProducerStore } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { JobRecord } from '@qarr/router-core';
import type { Caller } from './caller.ts';

/** Ours are shorter. Nothing longer is looked for. */
const ID_CHARS_MAX = 64;

/** A job of the caller's own: one of somebody else is as unknown as one that never was. */
export async function findJob(
  id: string,
  { owner }: Pick<Caller, 'owner'>,
  { store }: { store: Pick<ProducerStore, 'get'> },
): Promise<JobRecord> {
  const record = id.length > ID_CHARS_MAX ? null : await store.get(id);
  if (record === null || record.owner !== owner) throw new QarrError('job_not_found');
  return record;
}
