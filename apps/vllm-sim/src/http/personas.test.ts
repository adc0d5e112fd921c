import { expect, test } from 'vitest';
import { PERSONA_NAMES } from '../personas.ts';
import { jsonOf, startForTest } from '../start-for-test.ts';
import { encode } from '../tokenizer.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const HEAD = '"object":"chat.completion.chunk","created":0,"model":"qarr-sim"';
const USAGE = '"usage":{"prompt_tokens":10,"total_tokens":12,"completion_tokens":2}';

/** The events of a stream of two tokens with usage, the words replaced by W1 and W2. */
const CHAT_STREAMS: Record<string, readonly string[]> = {
  current: currentStream('vllm-0.28.0-5e1f0c3d'),
  '0.32': currentStream('vllm-0.32.0-9b42d7e1'),
  '0.6.4': [
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"content":"W1"},"logprobs":null,"finish_reason":null}],"usage":null}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"content":"W2"},"logprobs":null,"finish_reason":"length","stop_reason":null}],"usage":null}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[],${USAGE}}`,
    '[DONE]',
  ],
  generic: [
    '{"id":"r1","choices":[{"delta":{"role":"assistant"},"index":0}],"created":0,"model":"qarr-sim@main","object":"chat.completion.chunk","system_fingerprint":""}',
    '{"id":"r1","choices":[{"delta":{"content":"W1"},"index":0}],"created":0,"model":"qarr-sim@main","object":"chat.completion.chunk","system_fingerprint":""}',
    '{"id":"r1","choices":[{"delta":{"content":"W2"},"index":0}],"created":0,"model":"qarr-sim@main","object":"chat.completion.chunk","system_fingerprint":""}',
    '{"id":"r1","choices":[{"delta":{},"finish_reason":"length","index":0}],"created":0,"model":"qarr-sim@main","object":"chat.completion.chunk","system_fingerprint":"","usage":{"completion_tokens":2,"prompt_tokens":10,"total_tokens":12}}',
  ],
};

function currentStream(fingerprint: string): readonly string[] {
  return [
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"content":"W1"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[{"index":0,"delta":{"content":"W2"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}]}`,
    `{"id":"chatcmpl-r1",${HEAD},"choices":[],${USAGE},"system_fingerprint":"${fingerprint}"}`,
    '[DONE]',
  ];
}

test.for(PERSONA_NAMES)('%s streams a chat answer in its own shape', async (persona) => {
  const sim = await startForTest('--persona', persona);
  const shared = { messages, max_tokens: 2, stream: true, stream_options: { include_usage: true } };
  const named = persona === 'generic' ? {} : { request_id: 'r1' };
  const headers = { 'content-type': 'application/json', 'x-request-id': 'r1' };
  const response = await sim.post('/v1/chat/completions', { ...shared, ...named }, { headers });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const text = (await response.text()).replaceAll(/"created":\d+/g, '"created":0');
  let words = 0;
  const events = text.split('\n\n').slice(0, -1);
  const shapes = events.map((event) =>
    event.replace(/^data: /, '').replace(/"content":"([^"]+)"/, () => {
      words += 1;
      return `"content":"W${words}"`;
    }),
  );
  expect(shapes).toEqual(CHAT_STREAMS[persona]);
});

test.for([
  [
    'current',
    '{"id":"cmpl-r1","object":"text_completion","created":0,"model":"qarr-sim","choices":[{"index":0,"text":"W","logprobs":null,"finish_reason":"length","stop_reason":null,"prompt_token_ids":null,"token_ids":null}],"system_fingerprint":"vllm-0.28.0-5e1f0c3d"}',
  ],
  [
    '0.6.4',
    '{"id":"cmpl-r1","object":"text_completion","created":0,"model":"qarr-sim","choices":[{"index":0,"text":"W","logprobs":null,"finish_reason":"length","stop_reason":null}]}',
  ],
  [
    'generic',
    '{"id":"r1","choices":[{"index":0,"text":"W"}],"created":0,"model":"qarr-sim@main","object":"text_completion"}',
  ],
] as const)('%s streams a completion in its own shape', async ([persona, first]) => {
  const sim = await startForTest('--persona', persona);
  const headers = { 'content-type': 'application/json', 'x-request-id': 'r1' };
  const body = { prompt: 'Once upon', max_tokens: 1, stream: true };
  const named = persona === 'generic' ? body : { ...body, request_id: 'r1' };
  const response = await sim.post('/v1/completions', named, { headers });
  const [event] = (await response.text()).split('\n\n');
  expect(
    event?.replace(/"created":\d+/, '"created":0').replace(/"text":"[^"]+"/, '"text":"W"'),
  ).toBe(`data: ${first}`);
});

test.for([
  [
    'current',
    ['index', 'message', 'logprobs', 'finish_reason', 'stop_reason', 'token_ids'],
    ['role', 'content', 'refusal', 'annotations', 'audio', 'function_call', 'reasoning'],
  ],
  [
    '0.6.4',
    ['index', 'message', 'logprobs', 'finish_reason', 'stop_reason'],
    ['role', 'content', 'tool_calls'],
  ],
  ['generic', ['finish_reason', 'index', 'message'], ['content', 'role']],
] as const)('%s answers without a stream in its own shape', async ([persona, choice, message]) => {
  const sim = await startForTest('--persona', persona);
  const response = await sim.post('/v1/chat/completions', { messages, max_tokens: 1 });
  const { choices } = await jsonOf<{ choices: [{ message: object }] }>(response);
  expect(Object.keys(choices[0])).toEqual(choice);
  expect(Object.keys(choices[0].message)).toEqual(message);
});

/** What each server says to the same mistake: status, and the body or a part of its message. */
const NOT_FOUND = 'The model `gpt-5` does not exist.';
const MISSING = "{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required'}";
const EXTRA =
  "{'type': 'extra_forbidden', 'loc': ('body', 'surprise'), 'msg': 'Extra inputs are not permitted', 'input': 1}";
const STREAM_ONLY = 'Stream options can only be defined when `stream=True`.';

function flat(code: number, type: string, message: string): object {
  return { object: 'error', message, type, param: null, code };
}

function nested(code: number, type: string, message: string, param: string | null): object {
  return { error: { message, type, param, code } };
}

test.for([
  ['current', { model: 'gpt-5' }, 404, nested(404, 'NotFoundError', NOT_FOUND, 'model')],
  ['0.6.4', { model: 'gpt-5' }, 404, flat(404, 'NotFoundError', NOT_FOUND)],
  [
    '0.32',
    { model: 'gpt-5' },
    404,
    nested(404, 'NotFoundError', `${NOT_FOUND} Valid aliases: qarr-sim.`, 'model'),
  ],
  ['generic', { model: 'gpt-5' }, 404, { detail: NOT_FOUND }],
  [
    'current',
    { messages: undefined },
    400,
    nested(400, 'Bad Request', `1 validation error:\n  ${MISSING}`, null),
  ],
  ['0.6.4', { messages: undefined }, 400, flat(400, 'BadRequestError', `[${MISSING}]`)],
  ['0.6.4', { surprise: 1 }, 400, flat(400, 'BadRequestError', `[${EXTRA}]`)],
  ['generic', { surprise: 1 }, 422, { detail: "Unexpected fields in the request: {'surprise'}" }],
  [
    'generic',
    { priority: 1, return_token_ids: true },
    422,
    { detail: "Unexpected fields in the request: {'priority', 'return_token_ids'}" },
  ],
  [
    '0.6.4',
    { return_token_ids: true },
    400,
    flat(
      400,
      'BadRequestError',
      "[{'type': 'extra_forbidden', 'loc': ('body', 'return_token_ids'), 'msg': 'Extra inputs are not permitted', 'input': True}]",
    ),
  ],
  [
    'current',
    { stream_options: {} },
    400,
    nested(
      400,
      'Bad Request',
      `1 validation error:\n  {'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, ${STREAM_ONLY} (parameter=stream_options)'}`,
      'stream_options',
    ),
  ],
  [
    '0.6.4',
    { stream_options: {} },
    400,
    flat(
      400,
      'BadRequestError',
      `[{'type': 'value_error', 'loc': ('body',), 'msg': 'Value error, ${STREAM_ONLY}'}]`,
    ),
  ],
  [
    'current',
    { top_p: 2 },
    400,
    nested(
      400,
      'BadRequestError',
      'top_p must be in (0, 1], got 2. (parameter=top_p, value=2)',
      'top_p',
    ),
  ],
  ['0.6.4', { top_p: 2 }, 400, flat(400, 'BadRequestError', 'top_p must be in (0, 1], got 2.')],
  [
    '0.6.4',
    { priority: 3 },
    400,
    flat(400, 'BadRequestError', 'Got priority 3 but Priority scheduling is not enabled.'),
  ],
] as const)('%s refuses %j with its own words', async ([persona, body, status, expected]) => {
  const sim = await startForTest('--persona', persona);
  const response = await sim.post('/v1/chat/completions', { messages, ...body });
  expect(await response.json()).toEqual(expected);
  expect(response.status).toBe(status);
});

test('0.6.4 tells a stream in an event what its engine does not take', async () => {
  const sim = await startForTest('--persona', '0.6.4');
  const body = { messages, priority: 3, stream: true };
  const response = await sim.post('/v1/chat/completions', body);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe(
    'data: {"error":{"object":"error","message":"Got priority 3 but Priority scheduling is not enabled.","type":"BadRequestError","param":null,"code":400}}\n\ndata: [DONE]\n\n',
  );
});

test.for([
  [
    'current',
    20,
    "This model's maximum context length is 100 tokens. However, you requested 20 output tokens and your prompt contains at least 81 input tokens, for a total of at least 101 tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=81)",
  ],
  [
    '0.6.4',
    20,
    "This model's maximum context length is 100 tokens. However, you requested 119 tokens (99 in the messages, 20 in the completion). Please reduce the length of the messages or completion.",
  ],
  [
    '0.6.4',
    undefined,
    "This model's maximum context length is 100 tokens. However, you requested 109 tokens in the messages, Please reduce the length of the messages.",
  ],
] as const)(
  '%s refuses a prompt that is too long for %s tokens',
  async ([name, tokensMax, message]) => {
    const sim = await startForTest('--persona', name, '--max-model-len', '100');
    const words = tokensMax === undefined ? 100 : 90;
    const content = Array.from({ length: words }, () => 'word').join(' ');
    const body = { messages: [{ role: 'user', content }], max_tokens: tokensMax };
    const response = await sim.post('/v1/chat/completions', body);
    expect(response.status).toBe(400);
    expect(JSON.stringify(await response.json())).toContain(JSON.stringify(message).slice(1, -1));
  },
);

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
