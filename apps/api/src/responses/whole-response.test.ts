import { jobError } from '@qarr/router-core';
import type { JobEvent, LoggedEvent } from '@qarr/router-core';
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

  const queued: JobEvent = {
    type: 'queued',
    tier: 'fast',
    route: [],
    position: 1,
    estimated_wait_ms: null,
  };
  const started: JobEvent = { type: 'started', tier: 'fast', worker: 'w', attempt: 1 };
  const timings = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };

  it.each<[status: string, end: JobEvent]>([
    ['failed', { type: 'failed', error: jobError('worker_lost'), usage: null, timings: null }],
    ['cancelled', { type: 'cancelled', ran: true, tokens: 1, usage: null, timings: null }],
    ['completed', { type: 'completed', finish_reason: 'stop', usage: null, timings }],
  ])('has its last text where it has begun anew before it was %s', async (status, end) => {
    const events = logged([
      queued,
      started,
      { type: 'delta', text: 'Void' },
      { type: 'reset', attempt: 2 },
      { type: 'delta', text: 'Anew' },
      end,
    ]);
    const record = responseRecord({ state: end.type as 'failed', attempt: 2 });
    expect(await wholeResponse(record, { place: null }, storeOf(events))).toMatchObject({
      status,
      output: [{ id: 'msg_0a1b_0', content: [{ text: 'Anew' }] }],
    });
  });

  it('has the items that its stream has named, and fewer where its log is gone', async () => {
    const events = logged([
      queued,
      started,
      { type: 'delta', text: '', reasoning: 'Hm' },
      { type: 'delta', text: 'One' },
      { type: 'delta', text: '', reasoning: 'so' },
      { type: 'delta', text: 'two' },
      { type: 'completed', finish_reason: 'stop', usage: null, timings },
    ]);
    const result = { text: 'Onetwo', reasoning: 'Hmso', finish_reason: 'stop' as const };
    const record = responseRecord({ state: 'completed', result, timings, seq: events.length });
    const idsOf = async (log: LoggedEvent[]) => {
      const response = await wholeResponse(record, { place: null }, storeOf(log));
      expect(response.status).toBe('completed');
      return response.output.map((item) => (item as { id: string }).id);
    };
    expect(await idsOf(events)).toEqual(['rs_0a1b_0', 'msg_0a1b_0', 'rs_0a1b_1', 'msg_0a1b_1']);
    // Of the last event the record knows; or nothing can be read.
    for (const log of [events.slice(-1), []]) {
      expect(await idsOf(log)).toEqual(['rs_0a1b_0', 'msg_0a1b_0']);
    }
  });

  it('is not made up where its events cannot be read', async () => {
    const record = responseRecord({ state: 'cancelled' });
    await expect(wholeResponse(record, { place: null }, storeOf([]))).rejects.toMatchObject({
      code: 'queue_unavailable',
    });
  });
});
