import { expect, test } from 'vitest';
import { startForTest } from '../start-for-test.ts';

const messages = [{ role: 'user', content: 'Hi' }];

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
