/** Batches: made, looked up, listed, cancelled, waited for, and their results. */
import { isBatchOver } from './batch-answers.ts';
import type { Batch } from './batch-answers.ts';
import type { Batches } from './batch-calls.ts';
import { invalidOption } from './errors.ts';
import type { CallApi } from './http.ts';
import type { BatchRef, CallOptions } from './options.ts';
import { randomKey } from './random-key.ts';
import { sleep } from './within.ts';

const PATH = '/v1/batches';
/** It looks often at first, because small batches end soon, and less and less often later. */
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 10_000;

export function createBatches(call: CallApi): Batches {
  async function get(batch: BatchRef, { signal }: CallOptions = {}): Promise<Batch> {
    return await call({ method: 'GET', path: pathOf(batch), signal });
  }

  return {
    async create(request, { signal, idempotencyKey = randomKey() } = {}) {
      const headers = { 'idempotency-key': idempotencyKey };
      return await call({ method: 'POST', path: PATH, body: request, headers, signal });
    },
    get,
    async list({ signal, ...query } = {}) {
      return await call({ method: 'GET', path: PATH, query, signal });
    },
    async cancel(batch, { signal } = {}) {
      return await call({ method: 'POST', path: `${pathOf(batch)}/cancel`, signal });
    },
    async results(batch, { signal, ...query } = {}) {
      return await call({ method: 'GET', path: `${pathOf(batch)}/results`, query, signal });
    },
    async wait(batch, { signal } = {}) {
      for (let waitMs = WAIT_MS_MIN; ; waitMs = Math.min(waitMs * 1.5, WAIT_MS_MAX)) {
        const current = await get(batch, { signal });
        if (isBatchOver(current)) return current;
        await sleep(waitMs, signal);
      }
    },
  };
}

function pathOf(batch: BatchRef): string {
  const given = batch as BatchRef | null | undefined;
  const id: unknown = typeof given === 'string' ? given : given?.id;
  if (typeof id === 'string' && id !== '') return `${PATH}/${encodeURIComponent(id)}`;
  throw invalidOption('It needs a batch, or the id of one.');
}
