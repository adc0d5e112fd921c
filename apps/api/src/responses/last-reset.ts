import type { ProducerStore } from '@qarr/job-store';
import type { ResponseRecord } from './response-object.ts';
import { READ_MS } from './whole-response.ts';

/** The event with which an answer has begun anew for the last time until now; 0 for none. */
export async function lastReset(
  { id, attempt, seq: newest }: Pick<ResponseRecord, 'id' | 'attempt' | 'seq'>,
  { store }: { store: Pick<ProducerStore, 'follow'> },
): Promise<number> {
  // Before a first attempt there is nothing to take back.
  if (attempt < 2) return 0;
  let found = 0;
  for await (const page of store.follow(id, { after: 0, signal: AbortSignal.timeout(READ_MS) })) {
    for (const { seq, type } of page) if (type === 'reset') found = seq;
    if ((page.at(-1)?.seq ?? 0) >= newest) break;
  }
  return found;
}
