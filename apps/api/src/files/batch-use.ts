import type { ProducerStore } from '@qarr/job-store';
import type { StoredFile } from '@qarr/router-core';

/** Whether a batch that is not over reads this file. */
export async function isBeingRead(
  { id, owner }: Pick<StoredFile, 'id' | 'owner'>,
  { store }: { store: Pick<ProducerStore, 'batches'> },
): Promise<boolean> {
  const open = await store.batches.open(owner);
  return open.some(({ inputFileId }) => inputFileId === id);
}
