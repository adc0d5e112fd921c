import type { ProducerStore } from '@qarr/job-store';

/** A worker stops its engine within a second; whoever cancels waits a little longer than that. */
const CANCEL_WAIT_MS = 3_000;

/** Cancels a job and waits for its end, but not for ever: a worker may be dead. */
export async function cancelJob(
  id: string,
  { store }: { store: Pick<ProducerStore, 'cancel' | 'follow' | 'get'> },
): Promise<void> {
  if ((await store.cancel(id)) !== 'running') return;
  const signal = AbortSignal.timeout(CANCEL_WAIT_MS);
  const after = (await store.get(id))?.seq ?? 0;
  for await (const _events of store.follow(id, { after, signal })) {
    // Following ends by itself after the terminal event.
  }
}
