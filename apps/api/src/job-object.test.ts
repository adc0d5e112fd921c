import type { JobRecord } from '@qarr/router-core';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { jobObject, jobObjectSchema, jobSummary, jobSummarySchema, jobUrls } from './job-object.ts';

const record: JobRecord = {
  id: 'job_1',
  state: 'running',
  owner: 'somebody',
  class: 'standard',
  tier: 'fast',
  requestedTier: null,
  reasons: ['default'],
  epoch: 1,
  attempt: 1,
  seq: 2,
  fallback: 'up',
  rerouted: null,
  cost: 1,
  onInterrupt: 'continue',
  request: { messages: [{ role: 'user', content: 'secret' }], max_tokens: 1, temperature: 0 },
  droppedMessages: 0,
  metadata: { a: 'b' },
  createdAt: 1_790_000_000_999,
  startedAt: 1_790_000_001_000,
  finishedAt: null,
  queueDeadline: 1_790_000_030_000,
  runTimeoutMs: 1_000,
  cancelRequested: false,
  result: null,
  usage: null,
  timings: null,
  error: null,
  tokens: null,
};

/** What the routes would answer to a request with these headers. */
async function answer<T>(
  make: (request: Parameters<typeof jobUrls>[1]) => T,
  headers: Record<string, string>,
): Promise<T> {
  const app = Fastify();
  onTestFinished(() => app.close());
  app.get('/', async (request) => ({ made: make(request) }));
  const response = await app.inject({ url: '/', headers });
  return response.json<{ made: T }>().made;
}

describe('a job as clients see it', () => {
  it('has the shape that is documented, and not the request in it', async () => {
    const job = await answer(
      (request) =>
        jobObject(
          {
            ...record,
            rerouted: { from: 'fast', reason: 'depth_alert' },
            batch: { batchId: 'batch_1', line: 0, customId: 'first' },
          },
          { request, place: { position: 3, estimatedWaitMs: 40 } },
        ),
      { host: 'api.example' },
    );
    expect(jobObjectSchema.strict().parse(job)).toEqual(job);
    expect(job).toMatchObject({
      created_at: 1_790_000_000,
      started_at: 1_790_000_001,
      finished_at: null,
      fallback: 'up',
      rerouted: { from: 'fast', reason: 'depth_alert' },
      batch: { id: 'batch_1', custom_id: 'first' },
      position: 3,
      estimated_wait_ms: 40,
    });
    expect(JSON.stringify(job)).not.toMatch(/secret|somebody/);
  });

  it('is in a list without its result', async () => {
    const result = { text: 'secret', finish_reason: 'stop' } as const;
    const job = await answer((request) => jobSummary({ ...record, result } as JobRecord, request), {
      host: 'api.example',
    });
    expect(jobSummarySchema.strict().parse(job)).toEqual(job);
    expect(Object.keys(job)).not.toContain('result');
    expect(job.batch).toBeNull();
  });

  it('has absolute URLs under the name that the client used', async () => {
    const urls = await answer((request) => jobUrls('job_1', request), { host: 'api.example:81' });
    expect(urls).toEqual({
      self: 'http://api.example:81/v1/jobs/job_1',
      events: 'http://api.example:81/v1/jobs/job_1/events',
      cancel: 'http://api.example:81/v1/jobs/job_1/cancel',
    });
  });
});
