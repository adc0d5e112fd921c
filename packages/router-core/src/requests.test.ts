import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { chatRequestSchema, jobRequestSchema, routeRequestSchema } from './requests.ts';

const schemas = { chat: chatRequestSchema, job: jobRequestSchema };
const user = (content: unknown) => ({ role: 'user', content });

/** The path and the words of the first problem of a body; undefined when there is none. */
function problem(schema: z.ZodType, body: unknown): string | undefined {
  const issue = schema.safeParse(body).error?.issues[0];
  return issue && `${issue.path.map(String).join('.')}: ${issue.message}`;
}

/** The least, the greatest, and what lies just outside. */
const NUMBERS: [field: string, min: number, max: number, step: number][] = [
  ['max_tokens', 1, 1_000_000, 1],
  ['max_completion_tokens', 1, 1_000_000, 1],
  ['min_tokens', 0, 1_000_000, 1],
  ['temperature', 0, 2, 0.001],
  ['top_p', 0, 1, 0.001],
  ['top_k', -1, 1_000_000, 1],
  ['min_p', 0, 1, 0.001],
  ['presence_penalty', -2, 2, 0.001],
  ['frequency_penalty', -2, 2, 0.001],
  ['repetition_penalty', 0.01, 2, 0.001],
  ['seed', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, 1],
  ['n', 1, 4, 1],
];
const JOB_NUMBERS: typeof NUMBERS = [
  ['queue_timeout_ms', 1, 86_400_000, 1],
  ['run_timeout_ms', 1, 86_400_000, 1],
];

const WRONG: [field: string, values: unknown[]][] = [
  ['model', ['', 'm'.repeat(257), 1]],
  ['tier', ['', 't'.repeat(257), 1]],
  ['prompt', ['', 1, ['x']]],
  ['system_prompt', [1]],
  ['messages', ['x', [], Array.from({ length: 4097 }, () => user('x'))]],
  ['stop', ['', 'x'.repeat(257), 1, [''], ['a', 'b', 'c', 'd', 'e']]],
  ['ignore_eos', [1, 'true']],
  ['stream', [1, 'true']],
  ['logprobs', [1, 'true', 2]],
  ['top_logprobs', [1, 6, -1, 0.5, '0']],
  ['stream_options', [true, { include_usage: 1 }]],
  ['truncation', ['none', true]],
];
const JOB_WRONG: typeof WRONG = [
  ['class', ['urgent', 1]],
  ['fallback', ['sideways', true]],
  ['on_interrupt', ['retry', true]],
  [
    'metadata',
    [
      'x',
      { a: 1 },
      { a: 'v'.repeat(513) },
      { ['k'.repeat(65)]: 'v' },
      Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, 'v'])),
    ],
  ],
];
const RIGHT: Record<string, unknown>[] = [
  { model: 'm'.repeat(256), tier: 'fast' },
  { system_prompt: '' },
  { stop: 'x'.repeat(256) },
  { stop: [] },
  { stop: ['a', 'b', 'c', 'd'] },
  { ignore_eos: true, stream: false, truncation: 'disabled' },
  { logprobs: true },
  { logprobs: true, top_logprobs: 5 },
  { logprobs: false, top_logprobs: 0 },
  { stream: true, stream_options: { include_usage: true, include_obfuscation: false } },
];
const JOB_RIGHT: typeof RIGHT = [
  { class: 'batch', fallback: 'any', on_interrupt: 'restart' },
  { metadata: { ['k'.repeat(64)]: 'v'.repeat(512) } },
];

describe.each([
  [
    'chat',
    [...NUMBERS, ...JOB_NUMBERS],
    [...WRONG, ...JOB_WRONG, ['service_tier', ['', 1]]],
    [...RIGHT, ...JOB_RIGHT, { service_tier: 'flex' }, { stream: true, on_interrupt: 'fail' }],
  ],
  ['job', [...NUMBERS, ...JOB_NUMBERS], [...WRONG, ...JOB_WRONG], [...RIGHT, ...JOB_RIGHT]],
] as const)('a %s request', (kind, numbers, wrong, right) => {
  const schema = schemas[kind];

  it.each(numbers)('takes %s from %d to %d', (field, min, max, step) => {
    const given = (value: unknown) => problem(schema, { prompt: 'Hi', [field]: value });
    expect([min, max].map(given)).toEqual([undefined, undefined]);
    const outside = [min - step, max + step, Number.NaN, Number.POSITIVE_INFINITY, String(min)];
    for (const value of outside) expect(given(value)).toMatch(new RegExp(`^${field}: must be a `));
    if (step === 1 && max < Number.MAX_SAFE_INTEGER) expect(given(min + 0.5)).toContain('whole');
  });

  it.each(wrong)('refuses a wrong %s, by name', (field, values) => {
    for (const value of values) {
      expect(problem(schema, { prompt: 'Hi', [field]: value })).toMatch(
        new RegExp(`^${field}[.:]`),
      );
    }
  });

  it.each(right)('takes %j', (fields) => {
    expect(schema.parse({ prompt: 'Hi', ...fields })).toMatchObject({ prompt: 'Hi' });
  });

  it('takes what JSON schema says that it takes', () => {
    const { properties = {}, ...rest } = z.toJSONSchema(schema, { io: 'input' });
    expect(rest).toMatchObject({ oneOf: [{ required: ['messages'] }, { required: ['prompt'] }] });
    for (const [field, min, max] of numbers) {
      expect(properties[field]).toMatchObject({ minimum: min, maximum: max });
    }
    expect(properties['messages']).toMatchObject({ minItems: 1, maxItems: 4096 });
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(wrong.map(([field]) => field)));
  });
});

describe.each(Object.entries(schemas))('the conversation of a %s request', (_kind, schema) => {
  it.each<[string, unknown, string | undefined]>([
    ['a prompt', { prompt: 'Hi' }, undefined],
    ['a prompt with a system prompt', { prompt: 'Hi', system_prompt: 'S' }, undefined],
    ['messages', { messages: [user('Hi')] }, undefined],
    ['neither', {}, 'messages: is required (or prompt)'],
    ['only a system prompt', { system_prompt: 'S' }, 'messages: is required (or prompt)'],
    ['both', { prompt: 'Hi', messages: [user('Hi')] }, 'prompt: excludes messages'],
    [
      'messages and a system prompt',
      { system_prompt: 'S', messages: [user('Hi')] },
      'system_prompt: excludes messages',
    ],
    [
      'no text at all',
      { messages: [user(''), user([]), user(null)] },
      'messages: must hold some text',
    ],
    ['some text', { messages: [user(''), user([{ type: 'text', text: 'x' }])] }, undefined],
    [
      'a placeholder of a picture',
      { prompt: 'See <|image_pad|>' },
      'prompt: must not hold the placeholder of a picture, a video or a sound, such as <|image_pad|>',
    ],
    ['no object', ['x'], ': must be a JSON object'],
    ['nothing', undefined, ': must be a JSON object'],
  ])('with %s', (_name, body, expected) => {
    expect(problem(schema, body)).toBe(expected);
  });

  it('needs min_tokens to leave room below max_tokens', () => {
    const body = { prompt: 'Hi', min_tokens: 8, max_tokens: 7 };
    expect(problem(schema, body)).toBe('min_tokens: must not exceed max_tokens');
    expect(problem(schema, { ...body, max_completion_tokens: 8 })).toBeUndefined();
  });
});

describe.each(Object.entries(schemas))(
  'a field that is not offered, in a %s request',
  (_kind, schema) => {
    it.each<[field: string, harmful: unknown, harmless?: unknown]>([
      ['functions', [{}], []],
      ['function_call', { name: 'f' }, 'none'],
      ['logit_bias', { 1: 5 }, {}],
      ['modalities', ['text', 'audio'], ['text']],
      ['audio', {}],
      ['prediction', {}],
      ['reasoning_effort', 'low'],
      ['verbosity', 'low', 'medium'],
      ['web_search_options', {}],
      ['best_of', 2, 1],
      ['echo', true, false],
      ['suffix', 'x', ''],
      ['chat_template', '{{ x }}'],
      ['chat_template_kwargs', { enable_thinking: false }, {}],
      ['guided_json', {}],
      ['structured_outputs', {}],
      ['prompt_embeds', 'x'],
      ['media_io_kwargs', { video: {} }, {}],
      ['stop_token_ids', [1], []],
      ['logprob_token_ids', [1], []],
      ['guided_regex', '(a+)+$'],
      ['guided_grammar', 'root ::= root'],
      ['guided_choice', ['a']],
      ['documents', [{ text: 'x' }], []],
      ['mm_processor_kwargs', { size: 1 }, {}],
      ['truncate_prompt_tokens', 1],
      ['logits_processors', ['x'], []],
      ['prompt_logprobs', 1],
      ['add_generation_prompt', false, true],
      ['continue_final_message', true, false],
      ['return_token_ids', true, false],
      ['use_beam_search', true, false],
    ])('%s is refused by name, unless it is not used', (field, harmful, harmless) => {
      const [issue] = schema.safeParse({ prompt: 'Hi', [field]: harmful }).error?.issues ?? [];
      expect(issue).toMatchObject({
        path: [field],
        message: 'is not supported',
        params: { code: 'unsupported_parameter' },
      });
      expect(problem(schema, { prompt: 'Hi', [field]: harmless })).toBeUndefined();
    });

    it('is ignored where it changes nothing', () => {
      const fields = { user: 'u', store: true, service_tier: 'flex' };
      expect(problem(schema, { prompt: 'Hi', ...fields })).toBeUndefined();
    });
  },
);

/** Fields of a job that a question is answered by. */
const ADMITTED_BY = ['class', 'fallback', 'queue_timeout_ms'];

describe('a field of a job', () => {
  it.each(['webhook_url', 'webhook_events'])(
    'is %s: refused in a chat, whose client learns the end on its connection',
    (name) => {
      const body = { prompt: 'Hi', [name]: 'anything' };
      expect(problem(chatRequestSchema, body)).toBe(`${name}: is a field of /v1/jobs only`);
      expect(problem(routeRequestSchema, body)).toBeUndefined();
    },
  );

  it.each(['class', 'fallback', 'on_interrupt', 'queue_timeout_ms', 'run_timeout_ms'])(
    'is %s: checked in a chat, and in a question that is answered by it',
    (name) => {
      const body = { prompt: 'Hi', [name]: 'anything' };
      expect(problem(chatRequestSchema, body)).toContain(`${name}: must be`);
      const wrong = problem(routeRequestSchema, body);
      if (ADMITTED_BY.includes(name)) expect(wrong).toContain(`${name}: must be`);
      else expect(wrong).toBeUndefined();
    },
  );

  it('is on_interrupt: no stream of a chat takes back what it has sent', () => {
    const body = { prompt: 'Hi', on_interrupt: 'restart' };
    const streamed = { ...body, stream: true };
    expect(problem(chatRequestSchema, body)).toBeUndefined();
    expect(problem(chatRequestSchema, streamed)).toMatch(/^on_interrupt: must be "continue" or/);
    expect(problem(jobRequestSchema, streamed)).toBeUndefined();
  });
});

describe('an unknown field', () => {
  it('is dropped from a chat request', () => {
    const body = { prompt: 'Hi', top_q: 1 };
    expect(chatRequestSchema.parse(body)).toStrictEqual({ prompt: 'Hi' });
  });

  it('is refused in a job request', () => {
    expect(problem(jobRequestSchema, { prompt: 'Hi', top_q: 1 })).toBe(
      ': unknown parameter: top_q',
    );
  });
});
