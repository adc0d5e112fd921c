import type { LoggedEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { logged, responseRecord } from './response-for-test.ts';
import { wholeResponse } from './whole-response.ts';

const place = { position: 2, estimatedWaitMs: 400 };

function storeOf(events: LoggedEvent[]) {
  return {
    store: {
      async *follow() {
        yield events;
      },
    },
  };
}

describe('a response in one piece', () => {
  it('says where it waits', async () => {
    expect(await wholeResponse(responseRecord(), { place }, storeOf([]))).toMatchObject({
      status: 'queued',
      queue: { position: 2, tier: 'fast', estimated_wait_ms: 400 },
    });
  });

  it('is in progress from its first attempt on, also where it waits for another', async () => {
    for (const fields of [{ state: 'running' as const }, { attempt: 1 }]) {
      const response = await wholeResponse(responseRecord(fields), { place }, storeOf([]));
      expect(response).toMatchObject({ status: 'in_progress', output: [] });
      expect(response).not.toHaveProperty('queue');
    }
  });

  it('has what there was of it before it failed', async () => {
    const error = { code: 'worker_lost' as const, message: 'Lost.', retryable: true };
    const events = logged([
      { type: 'queued', tier: 'fast', route: [], position: 1, estimated_wait_ms: null },
      { type: 'started', tier: 'fast', worker: 'w', attempt: 1 },
      { type: 'delta', text: 'Hel' },
      { type: 'failed', error, usage: null, timings: null },
    ]);
    const record = responseRecord({ state: 'failed', error });
    expect(await wholeResponse(record, { place: null }, storeOf(events))).toMatchObject({
      status: 'failed',
      error: { message: 'Lost.' },
      output: [{ status: 'incomplete', content: [{ text: 'Hel' }] }],
    });
  });

  it('is not made up where its events cannot be read', async () => {
    const record = responseRecord({ state: 'cancelled' });
    await expect(wholeResponse(record, { place: null }, storeOf([]))).rejects.toMatchObject({
      code: 'queue_unavailable',
    });
  });
});
