import type { ProducerStore } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { StoredFile } from '@qarr/router-core';
import type { Caller } from '../caller.ts';

/** Ours are shorter. Nothing longer is looked for. */
const ID_CHARS_MAX = 64;

/** A file of the caller's own: one of somebody else is as unknown as one that never was. */
export async function findFile(
  id: string,
  { owner }: Pick<Caller, 'owner'>,
  { store }: { store: Pick<ProducerStore, 'files'> },
): Promise<StoredFile> {
  const file = id.length > ID_CHARS_MAX ? null : await store.files.get(id);
  if (file?.owner !== owner) throw new QarrError('file_not_found');
  return file;
}
