import { expect, test } from 'vitest';
import { jsonOf, startForTest } from '../start-for-test.ts';

const messages = [{ role: 'user', content: 'Hi' }];

const PATHS = [
  '/health',
  '/ping',
  '/load',
  '/version',
  '/metrics',
  '/v1/models',
  '/tokenize',
  '/detokenize',
  '/inference/v1/generate',
  '/v1/responses',
];

test.for([
  ['current', PATHS.slice(0, -1)],
  ['0.32', PATHS.slice(0, -1)],
  ['0.6.4', ['/health', '/version', '/metrics', '/v1/models', '/tokenize', '/detokenize']],
  ['generic', ['/health', '/v1/models']],
] as const)('%s has the routes that it has', async ([persona, expected]) => {
  const sim = await startForTest('--persona', persona);
  const found: string[] = [];
  for (const path of PATHS) {
    const response = await fetch(sim.url + path);
    await response.text();
    // A route that takes only POST is there too.
    if (response.status !== 404) found.push(path);
  }
  expect(found).toEqual(expected);
});

test.for([
  [
    'current',
    '/nothing',
    404,
    '{"error":{"message":"Not Found","type":"Not Found","param":null,"code":404}}',
  ],
  ['0.6.4', '/nothing', 404, '{"detail":"Not Found"}'],
  ['generic', '/version', 404, '{"detail":"Not Found"}'],
  ['current', '/health', 200, ''],
  ['generic', '/health', 200, '{"status":"ok"}'],
] as const)('%s answers %s with %s', async ([persona, path, status, body]) => {
  const sim = await startForTest('--persona', persona);
  const response = await fetch(sim.url + path);
  expect([response.status, await response.text()]).toEqual([status, body]);
});

test.for([
  ['current', { max_model_len: 8192, owned_by: 'vllm', root: 'qarr-sim' }],
  ['0.6.4', { max_model_len: 8192, owned_by: 'vllm', root: 'qarr-sim' }],
  ['generic', { owned_by: '', object: 'model' }],
] as const)('%s describes its model', async ([persona, card]) => {
  const sim = await startForTest('--persona', persona);
  const { data } = await jsonOf<{ data: object[] }>(await fetch(`${sim.url}/v1/models`));
  expect(data).toMatchObject([{ id: 'qarr-sim', ...card }]);
  expect(data.some((each) => 'max_model_len' in each)).toBe(persona !== 'generic');
});

test.for([
  ['current', [], false],
  ['current', ['--enable-request-id-headers'], true],
  ['0.6.4', [], true],
  ['generic', [], true],
] as const)('%s with %j returns the request id: %s', async ([persona, flags, returned]) => {
  const sim = await startForTest('--persona', persona, ...flags);
  const headers = { 'content-type': 'application/json', 'x-request-id': 'mine' };
  for (const stream of [true, false]) {
    const body = { messages, max_tokens: 1, stream };
    const response = await sim.post('/v1/chat/completions', body, { headers });
    await response.text();
    expect(response.headers.get('x-request-id')).toBe(returned ? 'mine' : null);
  }
});

test.for([
  ['current', 'chatcmpl-header'],
  ['0.6.4', 'chatcmpl-body'],
] as const)('%s names its answer %s', async ([persona, id]) => {
  const sim = await startForTest('--persona', persona);
  const headers = { 'content-type': 'application/json', 'x-request-id': 'header' };
  const body = { messages, max_tokens: 1, request_id: 'body' };
  const response = await sim.post('/v1/chat/completions', body, { headers });
  expect(await response.json()).toMatchObject({ id });
});

test.for([
  ['current', '/v1/models', 401],
  ['current', '/inference/v1/generate', 401],
  ['current', '/tokenize', 405],
  ['0.6.4', '/v1/models', 401],
  ['0.6.4', '/metrics', 200],
] as const)('%s guards %s: %s', async ([persona, path, status]) => {
  const sim = await startForTest('--persona', persona, '--api-key', 'secret');
  const response = await fetch(sim.url + path);
  expect(response.status).toBe(status);
  if (status === 401) expect(await response.json()).toEqual({ error: 'Unauthorized' });
});

test.for([
  ['current', 400],
  ['0.6.4', 415],
  ['generic', 422],
] as const)('%s answers another content type with %s', async ([persona, status]) => {
  const sim = await startForTest('--persona', persona);
  const headers = { 'content-type': 'text/plain' };
  const response = await sim.post('/v1/completions', { prompt: 'x' }, { headers });
  expect(response.status).toBe(status);
});
