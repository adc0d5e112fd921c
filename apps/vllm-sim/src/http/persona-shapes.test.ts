import { expect, test } from 'vitest';
import { PERSONA_NAMES } from '../personas.ts';
import { jsonOf, startForTest } from '../start-for-test.ts';

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
