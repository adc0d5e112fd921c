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
  const record = await findOwn(id, { owner }, { store });
  if (record === null) throw new QarrError('job_not_found');
  return record;
}

/** The same; null where there is none. */
export async function findOwn(
  id: string,
  { owner }: Pick<Caller, 'owner'>,
  { store }: { store: Pick<ProducerStore, 'get'> },
): Promise<JobRecord | null> {
  const record = id.length > ID_CHARS_MAX ? null : await store.get(id);
  return record?.owner === owner ? record : null;
}
