import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { engineRequestSchema, inputOf } from './engine-request.ts';
import { chatRequestSchema, jobRequestSchema } from './requests.ts';
import { toEngineRequest } from './to-engine-request.ts';

const DEFAULTS = { maxTokens: 512, temperature: 0.7 };
const engineRequest = (body: unknown) => toEngineRequest(chatRequestSchema.parse(body), DEFAULTS);

/** Stands in every field that no engine may see. */
const HOSTILE = 'hostile-9f2c';

/** Fields that engines know and a gateway must not forward, and some that nobody knows. */
const HOSTILE_FIELDS = `
  chat_template chat_template_kwargs guided_json guided_regex guided_grammar guided_choice
  guided_decoding_backend structured_outputs prompt_embeds mm_processor_kwargs media_io_kwargs
  documents priority kv_transfer_params ec_transfer_params vllm_xargs cache_salt return_token_ids
  truncate_prompt_tokens best_of use_beam_search logits_processors prompt_logprobs
  logprob_token_ids echo add_generation_prompt continue_final_message session_id request_id
  stop_token_ids logit_bias image_url images audio api_base base_url callback_url user extra_body
  __proto__ constructor toString
`.match(/\w+/g) as string[];

const word = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' });
const maybe = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(shape, { requiredKeys: [] });
const hostileFields = fc.dictionary(
  fc.constantFrom(...HOSTILE_FIELDS),
  fc.constantFrom<unknown>(HOSTILE, [HOSTILE], { [HOSTILE]: HOSTILE }),
  { maxKeys: 2 },
);
/** Sometimes with fields that should not be there. */
const spoiled = (value: fc.Arbitrary<object>) =>
  fc.oneof(
    { weight: 6, arbitrary: value },
    fc.tuple(value, hostileFields).map(([fields, hostile]) => ({ ...fields, ...hostile })),
  );
const content = fc.oneof(
  word,
  fc.array(spoiled(fc.record({ type: fc.constant('text'), text: word })), {
    minLength: 1,
    maxLength: 3,
  }),
);
const toolCall = fc.record({
  id: word,
  type: fc.constant('function'),
  function: fc.record({ name: word, arguments: fc.string() }),
});
const message = fc.oneof(
  fc.record(
    { role: fc.constantFrom('system', 'developer', 'user', 'assistant'), content, name: word },
    { requiredKeys: ['role', 'content'] },
  ),
  fc.record({
    role: fc.constant('assistant'),
    content: fc.oneof(content, fc.constant(null)),
    tool_calls: fc.array(spoiled(toolCall), { minLength: 1, maxLength: 2 }),
  }),
  fc.record({ role: fc.constant('tool'), content, tool_call_id: word }),
);
const functionTool = fc
  .record(
    {
      name: fc.constantFrom('f', 'g', 'h'),
      description: word,
      parameters: fc.constantFrom({}, { type: 'object', properties: { a: { type: 'string' } } }),
      strict: fc.boolean(),
    },
    { requiredKeys: ['name'] },
  )
  .chain((shape) => spoiled(fc.constant(shape)))
  .map((shape) => ({ type: 'function', function: shape }));
const share = fc.double({ min: 0, max: 1, noNaN: true });
const penalty = fc.double({ min: -2, max: 2, noNaN: true });
const options = maybe({
  stop: fc.oneof(word, fc.array(word, { maxLength: 4 })),
  top_p: share,
  top_k: fc.integer({ min: -1, max: 1_000_000 }),
  min_p: share,
  presence_penalty: penalty,
  frequency_penalty: penalty,
  repetition_penalty: fc.double({ min: 0.01, max: 2, noNaN: true }),
  seed: fc.maxSafeInteger(),
  min_tokens: fc.nat(1_000_000),
  ignore_eos: fc.boolean(),
  stream: fc.boolean(),
  model: word,
  n: fc.integer({ min: 1, max: 4 }),
  logprobs: fc.constant(true),
  top_logprobs: fc.nat(5),
  tools: fc.uniqueArray(spoiled(functionTool), {
    maxLength: 3,
    selector: (tool) => JSON.stringify(tool).slice(0, 50),
  }),
  tool_choice: fc.constantFrom('none', 'auto', 'required'),
  parallel_tool_calls: fc.boolean(),
  response_format: spoiled(
    fc.constantFrom<object>(
      { type: 'text' },
      { type: 'json_object' },
      { type: 'json_schema', json_schema: { name: 's', schema: { type: 'array' } } },
    ),
  ),
});
const conversation = fc.oneof(
  fc.record({ prompt: word, system_prompt: fc.string() }, { requiredKeys: ['prompt'] }),
  fc.record({ messages: fc.array(spoiled(message), { minLength: 1, maxLength: 4 }) }),
);
const hostileBody = fc
  .tuple(conversation, options, fc.oneof({ weight: 2, arbitrary: fc.constant({}) }, hostileFields))
  .map((parts) => Object.assign({}, ...parts) as unknown);

describe('the request to an engine', () => {
  it('has the limit and the temperature that routing chose', () => {
    expect(engineRequest({ prompt: 'Hi', max_tokens: 9, temperature: 2 })).toStrictEqual({
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 512,
      temperature: 0.7,
    });
  });

  it.each<[string, unknown, unknown[]]>([
    [
      'a system prompt goes first',
      { prompt: 'Hi', system_prompt: 'S' },
      [
        { role: 'system', content: 'S' },
        { role: 'user', content: 'Hi' },
      ],
    ],
    [
      'an empty system prompt is none',
      { prompt: 'Hi', system_prompt: '' },
      [{ role: 'user', content: 'Hi' }],
    ],
    [
      'developer becomes system',
      { messages: [{ role: 'developer', content: 'D' }] },
      [{ role: 'system', content: 'D' }],
    ],
    [
      'parts are joined by lines',
      {
        messages: [
          {
            role: 'user',
            name: 'ann',
            content: [
              { type: 'text', text: 'a' },
              { type: 'text', text: 'b' },
            ],
          },
        ],
      },
      [{ role: 'user', name: 'ann', content: 'a\nb' }],
    ],
    [
      'no content is an empty one',
      {
        messages: [
          { role: 'assistant', content: null },
          { role: 'user', content: 'Hi' },
        ],
      },
      [
        { role: 'assistant', content: '' },
        { role: 'user', content: 'Hi' },
      ],
    ],
  ])('%s', (_name, body, messages) => {
    expect(inputOf(engineRequest(body))).toStrictEqual({ messages });
  });

  it('carries calls of tools and what came of them', () => {
    const tool_calls = [
      { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
    ];
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, tool_calls },
      { role: 'tool', content: [{ type: 'text', text: '42' }], tool_call_id: 'call_1' },
      { role: 'assistant', content: 'It is 42', tool_calls: [] },
      { role: 'user', content: 'Thanks', tool_call_id: 'x' },
    ];
    expect(inputOf(engineRequest({ messages }))).toStrictEqual({
      messages: [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: '', tool_calls },
        { role: 'tool', content: '42', tool_call_id: 'call_1' },
        { role: 'assistant', content: 'It is 42' },
        { role: 'user', content: 'Thanks' },
      ],
    });
  });

  it('carries tools, the form of the answer, the number of choices and probabilities', () => {
    const parameters = { type: 'object', properties: { a: { const: null } }, 'x-order': [1] };
    const fields = {
      tools: [{ type: 'function', function: { name: 'f', parameters, strict: true } }],
      tool_choice: { type: 'function', function: { name: 'f' } },
      parallel_tool_calls: false,
      response_format: { type: 'json_schema', json_schema: { name: 's', schema: parameters } },
      n: 2,
      logprobs: true,
      top_logprobs: 0,
    };
    expect(engineRequest({ prompt: 'Hi', ...fields })).toStrictEqual({
      ...engineRequest({ prompt: 'Hi' }),
      ...fields,
    });
  });

  it('has no field whose value means that it is not used', () => {
    const unused = {
      tools: [],
      tool_choice: 'auto',
      parallel_tool_calls: true,
      response_format: { type: 'text' },
      n: 1,
      logprobs: false,
      top_logprobs: 0,
    };
    expect(engineRequest({ prompt: 'Hi', ...unused })).toStrictEqual(
      engineRequest({ prompt: 'Hi' }),
    );
  });

  it('carries the sampling fields as they are, and one stop string as a list', () => {
    const sampling = {
      top_p: 0.5,
      top_k: 0,
      min_p: 0,
      presence_penalty: -2,
      frequency_penalty: 0,
      repetition_penalty: 1.1,
      seed: 0,
      min_tokens: 0,
      ignore_eos: false,
    };
    expect(engineRequest({ prompt: 'Hi', ...sampling, stop: 'x' })).toStrictEqual({
      ...engineRequest({ prompt: 'Hi' }),
      ...sampling,
      stop: ['x'],
    });
  });

  it('has a top_p that engines take, where OpenAI allows 0', () => {
    const { top_p = 0 } = engineRequest({ prompt: 'Hi', top_p: 0 });
    expect(top_p).toBeGreaterThan(0);
    expect(top_p).toBeLessThan(0.001);
  });

  it('is on the allow-list, whatever passes the schemas', () => {
    let passed = 0;
    fc.assert(
      fc.property(hostileBody, (body) => {
        for (const schema of [chatRequestSchema, jobRequestSchema]) {
          const parsed = schema.safeParse(body);
          if (!parsed.success) continue;
          passed += 1;
          const engine = toEngineRequest(parsed.data, DEFAULTS);
          expect(engineRequestSchema.parse(engine)).toStrictEqual(engine);
          expect(JSON.stringify(engine)).not.toContain(HOSTILE);
        }
      }),
      { numRuns: 1_000 },
    );
    expect(passed).toBeGreaterThan(100);
  });

  it.each([{ chat_template: 'x' }, { n: 1 }, { logprobs: false }, { tools: [] }])(
    'is none with %j',
    (fields) => {
      const valid = engineRequest({ prompt: 'Hi' });
      expect(engineRequestSchema.safeParse(valid).success).toBe(true);
      expect(engineRequestSchema.safeParse({ ...valid, ...fields }).success).toBe(false);
    },
  );

  it.each([
    { messages: [{ role: 'user', content: 'x', image_url: 'x' }] },
    { messages: [{ role: 'user', content: 'x', tool_calls: [] }] },
    { tools: [{ type: 'function', function: { name: 'f', pattern: 'x' } }] },
    { response_format: { type: 'json_schema', json_schema: { name: 's', schema: {}, x: 1 } } },
  ])('is none with what is not allowed within: %j', (fields) => {
    const request = { ...engineRequest({ prompt: 'Hi' }), ...fields };
    expect(engineRequestSchema.safeParse(request).success).toBe(false);
  });
});
