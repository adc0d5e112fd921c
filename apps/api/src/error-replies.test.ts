import Fastify from 'fastify';
import { describe, expect, it, onTestFinished } from 'vitest';
import { replyWithErrors } from './error-replies.ts';
import { createApiMetrics } from './metrics.ts';

function build(error: unknown) {
  const lines: string[] = [];
  const app = Fastify({
    logger: { level: 'error', stream: { write: (line) => void lines.push(line) } },
  });
  onTestFinished(() => app.close());
  const metrics = createApiMetrics({ statuses: () => [], webhookBacklog: async () => 0 });
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
