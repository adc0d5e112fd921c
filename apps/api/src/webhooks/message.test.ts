import { expect, it } from 'vitest';
import { webhookBody } from './message.ts';

const JOB = {
  kind: 'job',
  id: 'job_1',
  eventId: 'evt_1',
  url: 'https://example.com/?secret',
  state: 'completed',
  tier: 'fast',
  metadata: { order: '7' },
  createdAt: 1_790_000_000_500,
  finishedAt: 1_790_000_002_999,
  errorCode: null,
} as const;

it('says that a job has ended, for both kinds of receivers, and nothing of where it goes', () => {
  expect(JSON.parse(webhookBody(JOB))).toEqual({
    id: 'evt_1',
    object: 'event',
    type: 'job.completed',
    created_at: 1_790_000_002,
    timestamp: '2026-09-21T14:13:22.999Z',
    data: {
      id: 'job_1',
      object: 'job',
      status: 'completed',
      tier: 'fast',
      created_at: 1_790_000_000,
      finished_at: 1_790_000_002,
      error: null,
      metadata: { order: '7' },
    },
  });
});

it('says that a batch is over, with its counts and none of its lines', () => {
  const batch = {
    kind: 'batch',
    id: 'batch_1',
    eventId: 'evt_1',
    url: 'https://example.com/?secret',
    state: 'expired',
    endpoint: '/v1/responses',
    metadata: null,
    total: 3,
    completed: 2,
    failed: 1,
    createdAt: 1_790_000_000_500,
    finishedAt: 1_790_000_002_999,
  } as const;
  expect(JSON.parse(webhookBody(batch))).toEqual({
    id: 'evt_1',
    object: 'event',
    type: 'batch.expired',
    created_at: 1_790_000_002,
    timestamp: '2026-09-21T14:13:22.999Z',
    data: {
      id: 'batch_1',
      object: 'batch',
      status: 'expired',
      endpoint: '/v1/responses',
      created_at: 1_790_000_000,
      finished_at: 1_790_000_002,
      request_counts: { total: 3, completed: 2, failed: 1 },
      metadata: null,
    },
  });
});

it('is the same text each time, and says why a job has failed', () => {
  const failed = { ...JOB, state: 'failed', errorCode: 'poison' } as const;
  expect(webhookBody(failed)).toBe(webhookBody(failed));
  expect(JSON.parse(webhookBody(failed))).toMatchObject({
    type: 'job.failed',
    data: { status: 'failed', error: { code: 'poison' } },
  });
});

it('leaves out metadata with which it would be longer than receivers take', () => {
  const pairs = Array.from({ length: 16 }, (_, index) => [`k${index}`, '😀'.repeat(256)]);
  const large = { ...JOB, metadata: Object.fromEntries(pairs) as Record<string, string> };
  expect(JSON.parse(webhookBody(large)).data.metadata).toEqual(large.metadata);
  const escaped = pairs.map(([key]) => [key, '\u0001'.repeat(512)]);
  const larger = { ...JOB, metadata: Object.fromEntries(escaped) as Record<string, string> };
  expect(Buffer.byteLength(webhookBody(larger))).toBeLessThan(1_000);
  expect(JSON.parse(webhookBody(larger)).data.metadata).toBeNull();
});
