import { NO_TRACING } from '@qarr/process';
import { QarrError } from '@qarr/router-core';
import Fastify from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { replyWithErrors } from './error-replies.ts';
import { createApiMetrics } from './metrics.ts';
import { traceRequests } from './request-span.ts';

function build(error: unknown) {
  const lines: string[] = [];
  const app = Fastify({
    logger: { level: 'error', stream: { write: (line) => void lines.push(line) } },
  });
  onTestFinished(() => app.close());
  const metrics = createApiMetrics({ snapshots: () => [], webhookBacklog: async () => 0 });
  traceRequests(app, { tracing: NO_TRACING });
  replyWithErrors(app, { metrics, bodyBytesMax: 1 });
  app.get('/', async () => {
    throw error;
  });
  return { app, lines };
}

describe('an error that nobody foresaw', () => {
  it('is told without its message, which might quote a body, and logged by where it was', async () => {
    const { app, lines } = build(new Error('secret first line\nsecret second line'));
    const response = await app.inject('/');
    expect(response.statusCode).toBe(500);
    expect(response.json()).toEqual({
      error: {
        message: 'Something went wrong on our side.',
        type: 'server_error',
        param: null,
        code: 'internal_error',
      },
    });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('error-replies.test.ts');
    expect(lines[0] + response.body).not.toContain('secret');
  });

  it('is an error also when it is none', async () => {
    const { app } = build('secret');
    expect((await app.inject('/')).json()).toMatchObject({ error: { code: 'internal_error' } });
  });
});

it('what Fastify refuses by itself is refused, and is no line in the log', async () => {
  const { app, lines } = build(null);
  // It may have a body, and does not say of which kind.
  app.route({ method: 'QUERY', url: '/', handler: async () => 'answered' });
  const response = await app.inject({ method: 'QUERY' as 'GET', url: '/' });
  expect(response.statusCode).toBe(400);
  expect(response.json()).toMatchObject({ error: { code: 'invalid_request' } });
  expect(lines).toEqual([]);
});

describe('a refusal by a limit of the key', () => {
  it.each([
    ['rate_limit_exceeded', 90_000, '60', '60000', undefined],
    ['insufficient_quota', 90_000, '90', '90000', 'false'],
  ] as const)('%s after %d ms', async (code, retryAfterMs, seconds, ms, mayRetry) => {
    const { app } = build(new QarrError(code, { retryAfterMs }));
    const response = await app.inject('/');
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe(seconds);
    expect(response.headers['retry-after-ms']).toBe(ms);
    // What lasts for a day is told, and no client shall wait for it.
    expect(response.headers['x-should-retry']).toBe(mayRetry);
  });
});

describe('a refusal for want of capacity', () => {
  it('says in headers and body when to come back, and is no line in the log', async () => {
    const { app, lines } = build(
      new QarrError('overloaded', {
        congestion: { tier: 'fast', retryAfterMs: 2_345, estimatedWaitMs: 40_000, queueDepth: 90 },
      }),
    );
    const response = await app.inject('/');
    expect(response.statusCode).toBe(503);
    expect(response.headers).toMatchObject({ 'retry-after': '3', 'retry-after-ms': '2345' });
    expect(response.json()).toEqual({
      error: {
        message: expect.stringContaining('The tier has too much to do'),
        type: 'server_error',
        param: null,
        code: 'overloaded',
        tier: 'fast',
        retry_after_ms: 2_345,
        estimated_wait_ms: 40_000,
        queue_depth: 90,
      },
    });
    expect(lines).toEqual([]);
  });
});
