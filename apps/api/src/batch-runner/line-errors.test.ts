/** A line is refused for what its route would refuse, with the same words. */
import { NO_TRACING } from '@qarr/process';
import {
  chatRequestSchema,
  completionRequestSchema,
  errorBody,
  parseBatchLine,
  parseLineBody,
  responseRequestSchema,
} from '@qarr/router-core';
import type { BatchEndpoint } from '@qarr/router-core';
import * as fc from 'fast-check';
import Fastify from 'fastify';
import { validatorCompiler } from 'fastify-type-provider-zod';
import { afterAll, expect, it } from 'vitest';
import { replyWithErrors } from '../error-replies.ts';
import { acceptJson } from '../json-body.ts';
import { createApiMetrics } from '../metrics.ts';
import { traceRequests } from '../request-span.ts';

const schemas = {
  '/v1/chat/completions': chatRequestSchema,
  '/v1/completions': completionRequestSchema,
  '/v1/responses': responseRequestSchema,
};
const endpoints = Object.keys(schemas) as BatchEndpoint[];

const app = Fastify().setValidatorCompiler(validatorCompiler);
acceptJson(app);
const metrics = createApiMetrics({ snapshots: () => [], webhookBacklog: async () => 0 });
traceRequests(app, { tracing: NO_TRACING });
replyWithErrors(app, { metrics, bodyBytesMax: 1_000_000 });
for (const url of endpoints) {
  app.post(url, { schema: { body: schemas[url] } }, async () => ({ error: null }));
}
afterAll(() => app.close());

const wrong = fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), fc.string(), fc.jsonValue());
const NAMES =
  'model messages prompt input temperature max_tokens stop tools response_format n logit_bias class text webhook_url';
const fields = fc.oneof(fc.constantFrom(...NAMES.split(' ')), fc.string());
/** Also what looks like a path in a path. */
const metadata = fc.dictionary(fc.constantFrom('a/b', 'c'), fc.oneof(fc.string(), fc.nat()));
const messages = fc.array(
  fc.record({
    role: fc.constantFrom('user', 'assistant', 'nobody'),
    content: fc.oneof(fc.string(), wrong),
  }),
  { maxLength: 3 },
);
const bodies = fc
  .record({ prompt: fc.string(), input: fc.string(), messages, metadata }, { requiredKeys: [] })
  .chain((body) =>
    fc.dictionary(fields, wrong, { maxKeys: 2 }).map((more) => ({ ...body, ...more })),
  )
  // What batches alone refuse.
  .filter((body) => !('class' in body) || body['class'] === 'batch');

it.each(endpoints)('%s', async (endpoint) => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const response = await app.inject({
        method: 'POST',
        url: endpoint,
        headers: { 'content-type': 'application/json' },
        payload: JSON.stringify(body),
      });
      const { error: told } = response.json<{ error: object | null }>();
      const text = JSON.stringify({ custom_id: 'a', method: 'POST', url: endpoint, body });
      const line = parseBatchLine(text, { endpoint, number: 1 });
      // A key that would poison prototypes may be drawn, too.
      if (line.kind === 'wrong') {
        expect(line.error.code).toBe('invalid_json_line');
        expect(told).toMatchObject({ code: 'invalid_json' });
        return;
      }
      const reading = parseLineBody(endpoint, line.body);
      const error = reading.kind === 'refused' ? errorBody(reading.error).error : null;
      if (error !== null) refused += 1;
      expect(error).toEqual(told);
    }),
    { numRuns: 150 },
  );
  expect(refused).toBeGreaterThan(20);
});
