import { describe, expect, it } from 'vitest';
import type { BatchEndpoint } from './batch.ts';
import { parseLineBody, routedOfLine } from './line-request.ts';

const bodies: Record<BatchEndpoint, Record<string, unknown>> = {
  '/v1/chat/completions': { model: 'auto', messages: [{ role: 'user', content: 'Hi' }] },
  '/v1/completions': { model: 'auto', prompt: 'Hi' },
  '/v1/responses': { model: 'auto', instructions: 'Be brief', input: 'Hi' },
};
const endpoints = Object.keys(bodies) as BatchEndpoint[];

describe.each(endpoints)('a line of %s', (endpoint) => {
  const read = (fields: object) => parseLineBody(endpoint, { ...bodies[endpoint], ...fields });

  it('is a request that can be routed', () => {
    const reading = read({ stream: false });
    if (reading.kind !== 'request') throw new Error('refused');
    expect(reading.request.endpoint).toBe(endpoint);
    const routed = routedOfLine(reading.request);
    expect(routed).toMatchObject(
      endpoint === '/v1/completions'
        ? { prompt: 'Hi', isRaw: true }
        : { messages: expect.arrayContaining([{ role: 'user', content: 'Hi' }]) },
    );
  });

  it.each([
    [{ stream: true }, 'unsupported_parameter', 'stream'],
    [{ class: 'interactive' }, 'unsupported_parameter', 'class'],
    [{ logit_bias: { 1: 2 } }, 'unsupported_parameter', 'logit_bias'],
    [{ webhook_url: 'https://example.org' }, 'unsupported_parameter', 'webhook_url'],
    [{ temperature: 7 }, 'invalid_request', 'temperature'],
  ])('is refused with %j', (fields, code, param) => {
    const message = expect.stringMatching(new RegExp(`^${param}.*\\.$`));
    expect(read(fields)).toMatchObject({ kind: 'refused', error: { code, param, message } });
  });

  it('is refused where it asks for nothing', () => {
    expect(parseLineBody(endpoint, {})).toMatchObject({ kind: 'refused' });
  });
});

it.each([
  { background: true },
  { previous_response_id: 'resp_1' },
  { input: [{ type: 'item_reference', id: 'msg_1' }] },
])('a response is refused with %j', (fields) => {
  const [param] = Object.keys(fields);
  const reading = parseLineBody('/v1/responses', { ...bodies['/v1/responses'], ...fields });
  expect(reading).toMatchObject({ error: { code: 'unsupported_parameter', param } });
});

it('a chat may say that it is of a batch', () => {
  const endpoint = '/v1/chat/completions';
  expect(parseLineBody(endpoint, { ...bodies[endpoint], class: 'batch' }).kind).toBe('request');
});
