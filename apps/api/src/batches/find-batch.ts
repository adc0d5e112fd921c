import type { BatchRecords } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { BatchRecord } from '@qarr/router-core';
import type { Caller } from '../caller.ts';

/** Ours are shorter. Nothing longer is looked for. */
const ID_CHARS_MAX = 64;

/** A batch of the caller's own: one of somebody else is as unknown as one that never was. */
export async function findBatch(
  id: string,
  { owner }: Pick<Caller, 'owner'>,
  { store }: { store: { batches: Pick<BatchRecords, 'get'> } },
): Promise<BatchRecord> {
  const record = id.length > ID_CHARS_MAX ? null : await store.batches.get(id);
  if (record?.owner !== owner) throw new QarrError('batch_not_found');
  return record;
}
