import { expect, test } from 'vitest';
import { chunksOf, jsonOf, startForTest, type TestSimulator, textOf } from '../start-for-test.ts';
import { decode, encode } from '../tokenizer.ts';

const messages = [{ role: 'user', content: 'Tell me about rivers.' }];

type ChatBody = {
  choices: [
    {
      message: { content: string };
      finish_reason: string;
      stop_reason: unknown;
      token_ids: number[];
    },
  ];
  usage: { prompt_tokens: number; completion_tokens: number };
  prompt_token_ids: number[];
};
type CompletionBody = { choices: { text: string; index: number; token_ids: number[] }[] };

async function chat(sim: TestSimulator, body: object): Promise<ChatBody> {
  const response = await sim.post('/v1/chat/completions', { messages, ...body });
  expect(response.status).toBe(200);
  return jsonOf<ChatBody>(response);
}

test('a chat stream has the shape of vLLM, byte by byte', async () => {
  const sim = await startForTest();
  const response = await sim.post('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 3,
    stream: true,
    stream_options: { include_usage: true },
    request_id: 'r1',
  });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const text = await response.text();
  const words = chunksOf(text).map((chunk) => chunk.choices[0]?.delta?.content);
  const head =
    '{"id":"chatcmpl-r1","object":"chat.completion.chunk","created":0,"model":"qarr-sim",';
  expect(text.replaceAll(/"created":\d+/g, '"created":0')).toBe(
    [
      `data: ${head}"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}`,
      `data: ${head}"choices":[{"index":0,"delta":{"content":"${words[1]}"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`,
      `data: ${head}"choices":[{"index":0,"delta":{"content":"${words[2]}"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`,
      `data: ${head}"choices":[{"index":0,"delta":{"content":"${words[3]}"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]}`,
      `data: ${head}"choices":[],"usage":{"prompt_tokens":10,"total_tokens":13,"completion_tokens":3},"system_fingerprint":"vllm-0.28.0-5e1f0c3d"}`,
      'data: [DONE]',
      '',
    ].join('\n\n'),
  );
});

test('a completion stream has the shape of vLLM, byte by byte', async () => {
  const sim = await startForTest();
  const prompt = encode('Once upon a time');
  const response = await sim.post('/v1/completions', {
    prompt,
    max_tokens: 2,
    stream: true,
    return_token_ids: true,
    request_id: 'r2',
  });
  const text = await response.text();
  const ids = chunksOf(text).flatMap((chunk) => chunk.choices[0]?.token_ids ?? []);
  const head = '{"id":"cmpl-r2","object":"text_completion","created":0,"model":"qarr-sim",';
  expect(text.replaceAll(/"created":\d+/g, '"created":0')).toBe(
    [
      `data: ${head}"choices":[{"index":0,"text":"${decode(ids.slice(0, 1))}","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":[${prompt.join(',')}],"token_ids":[${ids[0]}]}]}`,
      `data: ${head}"choices":[{"index":0,"text":"${decode(ids.slice(1))}","logprobs":null,"finish_reason":"length","stop_reason":null,"prompt_token_ids":null,"token_ids":[${ids[1]}]}],"system_fingerprint":"vllm-0.28.0-5e1f0c3d"}`,
      'data: [DONE]',
      '',
    ].join('\n\n'),
  );
});

test('usage comes in every chunk when asked for', async () => {
  const sim = await startForTest();
  const response = await sim.post('/v1/chat/completions', {
    messages,
    max_tokens: 3,
    ignore_eos: true,
    stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  });
  const usages = chunksOf(await response.text()).map((chunk) => chunk.usage?.completion_tokens);
  expect(usages).toEqual([0, 1, 2, 3, 3]);
});

test('the same request gives the same text on any server of one seed, another seed another', async () => {
  const [one, two, other] = await Promise.all([
    startForTest('--seed', '7'),
    startForTest('--seed', '7', '--profile', 'h100-fp8', '--time-scale', '0.01'),
    startForTest('--seed', '8'),
  ]);
  const text = (await chat(one, {})).choices[0].message.content;
  expect((await chat(two, {})).choices[0].message.content).toBe(text);
  expect((await chat(other, {})).choices[0].message.content).not.toBe(text);
  expect((await chat(one, { seed: 1 })).choices[0].message.content).not.toBe(text);
});

test('prompt ids and generated ids continue the text exactly on another server', async () => {
  const [first, second] = await Promise.all([startForTest(), startForTest()]);
  const whole = await chat(first, { return_token_ids: true, max_tokens: 120, ignore_eos: true });
  const { token_ids: ids, message } = whole.choices[0];
  const response = await second.post('/v1/completions', {
    prompt: [...whole.prompt_token_ids, ...ids.slice(0, 50)],
    max_tokens: 70,
    ignore_eos: true,
  });
  const { choices } = await jsonOf<CompletionBody>(response);
  expect(decode(ids.slice(0, 50)) + choices[0]?.text).toBe(message.content);
});

test('a final assistant message is continued as text', async () => {
  const sim = await startForTest();
  const whole = await chat(sim, { return_token_ids: true });
  const ids = whole.choices[0].token_ids;
  const partial = decode(ids.slice(0, 20));
  const rest = await chat(sim, {
    messages: [...messages, { role: 'assistant', content: partial }],
    continue_final_message: true,
    add_generation_prompt: false,
  });
  expect(partial + rest.choices[0].message.content).toBe(whole.choices[0].message.content);
});

test('a stop string ends the text before it, in a stream too', async () => {
  const sim = await startForTest();
  const whole = (await chat(sim, {})).choices[0].message.content;
  const stop = whole.slice(30, 36);
  const expected = whole.slice(0, whole.indexOf(stop));
  const stopped = (await chat(sim, { stop: [stop] })).choices[0];
  expect(stopped).toMatchObject({
    message: { content: expected },
    finish_reason: 'stop',
    stop_reason: stop,
  });
  const stream = await sim.post('/v1/chat/completions', { messages, stop, stream: true });
  expect(textOf(await stream.text())).toBe(expected);
});

test('a stop token ends the text without it and is named', async () => {
  const sim = await startForTest();
  const whole = await chat(sim, { return_token_ids: true });
  const ids = whole.choices[0].token_ids;
  const stopId = ids[10] ?? 0;
  const { choices } = await chat(sim, { stop_token_ids: [stopId] });
  expect(choices[0]).toMatchObject({
    message: { content: decode(ids.slice(0, ids.indexOf(stopId))) },
    stop_reason: stopId,
  });
});

test('min_tokens outlasts the end of text and ignore_eos removes it', async () => {
  const sim = await startForTest('--max-model-len', '1000');
  const least = await chat(sim, { min_tokens: 500 });
  expect(least.usage.completion_tokens).toBeGreaterThanOrEqual(500);
  const all = await chat(sim, { ignore_eos: true });
  expect(all.choices[0].finish_reason).toBe('length');
  expect(all.usage.prompt_tokens + all.usage.completion_tokens).toBe(1000);
});

test('several prompts and choices come back by index', async () => {
  const sim = await startForTest();
  const prompt = ['Once upon a time', 'In the beginning'];
  const response = await sim.post('/v1/completions', { prompt, n: 2, max_tokens: 12 });
  const { choices } = await jsonOf<CompletionBody>(response);
  expect(choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  expect(new Set(choices.map(({ text }) => text)).size).toBe(4);
});

test('the request id of the header wins over that of the body', async () => {
  const sim = await startForTest();
  const headers = { 'content-type': 'application/json', 'x-request-id': 'from-header' };
  const body = { messages, max_tokens: 1, request_id: 'from-body' };
  const response = await sim.post('/v1/chat/completions', body, { headers });
  expect(await response.json()).toMatchObject({ id: 'chatcmpl-from-header' });
});

test.for([
  ['an unknown model', { model: 'gpt-5' }, 404, 'The model `gpt-5` does not exist.'],
  [
    'a wrong type',
    { max_tokens: 'ten' },
    400,
    "1 validation error:\n  {'type': 'int_type', 'loc': ('body', 'max_tokens')",
  ],
  [
    'no messages',
    { messages: undefined },
    400,
    "'loc': ('body', 'messages'), 'msg': 'Field required'",
  ],
  [
    'a temperature out of range',
    { temperature: 3 },
    400,
    'temperature must be in [0, 2], got 3. (parameter=temperature, value=3)',
  ],
  ['no tokens', { max_tokens: 0 }, 400, 'max_tokens must be at least 1, got 0.'],
  [
    'stream options without a stream',
    { stream_options: {} },
    400,
    'Stream options can only be defined when `stream=True`.',
  ],
  [
    'both ways to end the prompt',
    { continue_final_message: true, add_generation_prompt: true },
    400,
    'Cannot set both `continue_final_message` and `add_generation_prompt` to True.',
  ],
  ['a tool without a name', { tools: [{}] }, 400, 'Each tool needs a `function` with a `name`.'],
  ['beam search', { use_beam_search: true }, 400, '`use_beam_search` is not simulated.'],
  [
    'a regular expression',
    { structured_outputs: { regex: 'a+' } },
    400,
    '`structured_outputs.regex` is not simulated.',
  ],
] as const)('%s is refused as vLLM refuses it', async ([, body, status, message]) => {
  const sim = await startForTest();
  const response = await sim.post('/v1/chat/completions', { messages, ...body });
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({
    error: { message: expect.stringContaining(message), code: status },
  });
});

test('a prompt that leaves no room is refused with the numbers', async () => {
  const sim = await startForTest('--max-model-len', '100');
  const response = await sim.post('/v1/completions', {
    prompt: encode('word '.repeat(90)),
    max_tokens: 20,
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toEqual({
    error: {
      message:
        "This model's maximum context length is 100 tokens. However, you requested 20 output tokens and your prompt contains 91 input tokens, for a total of 111 tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=91)",
      type: 'BadRequestError',
      param: 'input_tokens',
      code: 400,
    },
  });
});

test('a text that leaves no room is refused with a lower bound', async () => {
  const sim = await startForTest('--max-model-len', '100');
  const content = 'word '.repeat(90);
  const response = await sim.post('/v1/chat/completions', {
    messages: [{ role: 'user', content }],
    max_tokens: 20,
  });
  expect(await response.json()).toMatchObject({
    error: { message: expect.stringContaining('your prompt contains at least 81 input tokens') },
  });
});

test('unknown fields are ignored', async () => {
  const sim = await startForTest();
  const answer = await chat(sim, { surprise: { nested: true }, priority: 5, max_tokens: 1 });
  expect(answer.usage.completion_tokens).toBe(1);
});
