import { expect, test } from 'vitest';
import { startForTest } from '../start-for-test.ts';

test('health is an empty 200', async () => {
  const sim = await startForTest();
  for (const path of ['/health', '/ping']) {
    const response = await fetch(sim.url + path);
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  }
});

test('every served name has a card', async () => {
  const sim = await startForTest('--served-model-name', 'llama', '--served-model-name', 'alias');
  const response = await fetch(`${sim.url}/v1/models`);
  expect(await response.json()).toMatchObject({
    object: 'list',
    data: [
      { id: 'llama', root: 'llama', parent: null, max_model_len: 8192, owned_by: 'vllm' },
      { id: 'alias', root: 'llama' },
    ],
  });
});

test('metrics move with the requests', async () => {
  const sim = await startForTest();
  const body = { prompt: 'Once upon a time', max_tokens: 5, ignore_eos: true };
  await (await sim.post('/v1/completions', body)).text();
  const response = await fetch(`${sim.url}/metrics`);
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  const lines = (await response.text()).split('\n');
  const labels = '{engine="0",model_name="qarr-sim"}';
  expect(lines).toEqual(
    expect.arrayContaining([
      `vllm:prompt_tokens_total${labels} 4.0`,
      `vllm:generation_tokens_total${labels} 5.0`,
      'vllm:request_success_total{engine="0",finished_reason="length",model_name="qarr-sim"} 1.0',
      `vllm:time_to_first_token_seconds_count${labels} 1.0`,
      `vllm:inter_token_latency_seconds_count${labels} 4.0`,
      `vllm:e2e_request_latency_seconds_count${labels} 1.0`,
      `vllm:request_queue_time_seconds_count${labels} 1.0`,
      `vllm:num_requests_running${labels} 0.0`,
      `vllm:num_requests_waiting${labels} 0.0`,
      `vllm:kv_cache_usage_perc${labels} 0.0`,
      `vllm:num_preemptions_total${labels} 0.0`,
    ]),
  );
});

test('the key guards /v1 and nothing else', async () => {
  const sim = await startForTest('--api-key', 'secret');
  const refused = await fetch(`${sim.url}/v1/models`);
  expect(refused.status).toBe(401);
  expect(await refused.json()).toEqual({ error: 'Unauthorized' });
  const headers = { authorization: 'Bearer secret' };
  expect((await fetch(`${sim.url}/v1/models`, { headers })).status).toBe(200);
  expect((await fetch(`${sim.url}/metrics`)).status).toBe(200);
});

test.for([
  [
    'malformed JSON',
    '/v1/chat/completions',
    'application/json',
    '{"messages"',
    'JSON decode error',
  ],
  ['JSON that is no object', '/v1/completions', 'application/json', '[]', 'valid dictionary'],
  [
    'another content type',
    '/v1/completions',
    'text/plain',
    '{}',
    "Only 'application/json' is allowed",
  ],
] as const)('%s is a 400', async ([, path, contentType, body, message]) => {
  const sim = await startForTest();
  const headers = { 'content-type': contentType };
  const response = await fetch(sim.url + path, { method: 'POST', headers, body });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { message: expect.stringContaining(message), type: 'Bad Request', code: 400 },
  });
});

test('a wrong path is a 404, a wrong method a 405', async () => {
  const sim = await startForTest();
  expect((await fetch(`${sim.url}/v1/nothing`)).status).toBe(404);
  expect((await fetch(`${sim.url}/v1/completions`)).status).toBe(405);
});

test('the state shows the names of the fields that were sent, not their values', async () => {
  const sim = await startForTest();
  const body = { prompt: 'confidential', max_tokens: 1 };
  await (await sim.post('/v1/completions', body)).text();
  const state = await sim.state();
  expect(state).toMatchObject({
    received: 1,
    recent: [{ path: '/v1/completions', fields: ['prompt', 'max_tokens'] }],
  });
  expect(JSON.stringify(state)).not.toContain('confidential');
});
