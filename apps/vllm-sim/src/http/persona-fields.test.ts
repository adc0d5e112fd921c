import { expect, test } from 'vitest';
import { jsonOf, startForTest } from '../start-for-test.ts';
import { encode } from '../tokenizer.ts';

const messages = [{ role: 'user', content: 'Hi' }];

test.for([
  ['current', { max_completion_tokens: 0, max_tokens: 3 }, 400],
  ['0.6.4', { max_completion_tokens: 0, max_tokens: 3 }, 200],
] as const)('%s takes %j as it does', async ([persona, body, status]) => {
  const sim = await startForTest('--persona', persona);
  const response = await sim.post('/v1/chat/completions', { messages, ...body });
  expect(response.status).toBe(status);
});

test.for([
  ['current', {}, 0],
  ['0.6.4', {}, 1],
  ['0.6.4', { include_usage: false }, 0],
] as const)('%s sends usage for stream_options %j: %s times', async ([persona, options, times]) => {
  const sim = await startForTest('--persona', persona);
  const body = { messages, max_tokens: 1, stream: true, stream_options: options };
  const text = await (await sim.post('/v1/chat/completions', body)).text();
  expect(text.match(/"usage":\{/g) ?? []).toHaveLength(times);
});

test('0.6.4 repeats the message that it continues, newer versions do not', async () => {
  const partial = 'The river is';
  const body = {
    messages: [...messages, { role: 'assistant', content: partial }],
    continue_final_message: true,
    add_generation_prompt: false,
    max_tokens: 2,
  };
  const [old, current] = await Promise.all([
    startForTest('--persona', '0.6.4'),
    startForTest('--persona', 'current'),
  ]);
  type Chat = { choices: [{ message: { content: string } }] };
  const rest = await jsonOf<Chat>(await current.post('/v1/chat/completions', body));
  const whole = await jsonOf<Chat>(await old.post('/v1/chat/completions', body));
  expect(whole.choices[0].message.content).toBe(partial + rest.choices[0].message.content);

  const streamed = await old.post('/v1/chat/completions', { ...body, stream: true });
  const second = (await streamed.text()).split('\n\n')[1];
  expect(second).toContain(`"delta":{"content":"${partial}"}`);
});

test('generic takes a prompt as text only', async () => {
  const sim = await startForTest('--persona', 'generic');
  const response = await sim.post('/v1/completions', { prompt: encode('Once upon a time') });
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({ detail: 'prompt must be a string.' });
});

test('generic ignores what vLLM would heed', async () => {
  const sim = await startForTest('--persona', 'generic');
  const ignored = { n: 3, max_completion_tokens: 1, response_format: { type: 'json_object' } };
  const body = { messages, max_tokens: 5, ...ignored };
  const { choices, usage } = await jsonOf<{
    choices: object[];
    usage: { completion_tokens: number };
  }>(await sim.post('/v1/chat/completions', body));
  expect(choices).toHaveLength(1);
  expect(usage.completion_tokens).toBe(5);
});

test('a priority header that is no number is refused where the header is known', async () => {
  const sim = await startForTest();
  const headers = { 'content-type': 'application/json', 'x-vllm-priority': 'high' };
  const response = await sim.post('/v1/chat/completions', { messages, max_tokens: 1 }, { headers });
  expect(response.status).toBe(400);
  const old = await startForTest('--persona', '0.6.4');
  const ignored = await old.post('/v1/chat/completions', { messages, max_tokens: 1 }, { headers });
  expect(ignored.status).toBe(200);
});
