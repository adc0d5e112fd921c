import type { ProducerStore } from '@qarr/job-store';
import type { JobRecord } from '@qarr/router-core';
import type { FastifyReply } from 'fastify';
import { watchClient } from './client-gone.ts';
import type { Drain } from './drain.ts';

/**
 * How a held answer ends: with the job as it was last seen, or because the client has left. The job
 * goes on in any case.
 */
export type Held = { kind: 'answer'; record: JobRecord | null } | { kind: 'client_gone' };

/** Waits for the end of a job, `waitMs` at most, and not beyond the stop of this replica. */
export async function holdAnswer(
  jobId: string,
  { waitMs, reply }: { waitMs: number; reply: FastifyReply },
  { store, drain }: { store: Pick<ProducerStore, 'follow' | 'get'>; drain: Pick<Drain, 'over'> },
): Promise<Held> {
  const client = watchClient(reply);
  const signal = AbortSignal.any([client.gone, drain.over, AbortSignal.timeout(waitMs)]);
  try {
    for await (const _events of store.follow(jobId, { after: 0, signal })) {
      // Following ends by itself after the terminal event.
    }
    if (client.gone.aborted) return { kind: 'client_gone' };
    // It has been accepted, whether Redis answers now or not.
    return { kind: 'answer', record: await store.get(jobId).catch(() => null) };
  } finally {
    client.stop();
  }
}
