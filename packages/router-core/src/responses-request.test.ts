import { describe, expect, it } from 'vitest';
import { chatRequestSchema } from './requests.ts';
import { chatOfResponse, responseRequestSchema } from './responses-request.ts';

const parameters = { type: 'object', properties: { city: { type: 'string' } } };
const tool = { type: 'function', name: 'get_weather', description: 'The weather', parameters };

const call = (id: string) => ({
  id,
  type: 'function',
  function: { name: 'get_weather', arguments: '{}' },
});

function problemsOf(body: object): unknown[] {
  const parsed = responseRequestSchema.safeParse({ input: 'Hello', ...body });
  return (parsed.error?.issues ?? []).map((issue) => {
    const code = (issue as { params?: { code?: string } }).params?.code;
    return [issue.path.join('.'), issue.message, ...(code === undefined ? [] : [code])];
  });
}

function chatOf(body: object) {
  const request = responseRequestSchema.parse({ input: 'Hello', ...body });
  const chat = chatOfResponse(request, { goneBefore: [], input: request.input });
  // What it becomes is a chat like any other.
  expect(chatRequestSchema.safeParse(chat).success).toBe(true);
  return JSON.parse(JSON.stringify(chat)) as Record<string, unknown>;
}

describe('the body of a response', () => {
  it('is a chat of one message where its input is a text', () => {
    expect(chatOf({ model: 'fast', max_output_tokens: 9, top_k: 3 })).toEqual({
      model: 'fast',
      messages: [{ role: 'user', content: 'Hello' }],
      max_tokens: 9,
      top_k: 3,
    });
  });

  it('has its instructions before all that was said', () => {
    const request = responseRequestSchema.parse({ instructions: 'Be kind', input: 'And now?' });
    const before = [{ role: 'user' as const, content: 'Hello' }];
    const { messages } = chatOfResponse(request, {
      goneBefore: before,
      input: request.input,
    });
    expect(messages?.map(({ content }) => content)).toEqual(['Be kind', 'Hello', 'And now?']);
  });

  it('takes messages with and without a type, and parts of every kind of text', () => {
    const input = [
      { role: 'system', content: 'S' },
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'D' }] },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'a' },
          { type: 'input_text', text: 'b' },
        ],
      },
      {
        type: 'message',
        id: 'msg_1',
        status: 'completed',
        role: 'assistant',
        content: [
          { type: 'output_text', text: 'A', annotations: [], logprobs: [] },
          { type: 'refusal', refusal: 'R' },
        ],
      },
    ];
    expect(chatOf({ input })['messages']).toEqual([
      { role: 'system', content: 'S' },
      { role: 'developer', content: 'D' },
      { role: 'user', content: 'a\nb' },
      { role: 'assistant', content: 'A\nR' },
    ]);
  });

  it('joins calls with what was said before them, and leaves out what was thought', () => {
    const called = { type: 'function_call', name: 'get_weather', arguments: '{}' };
    const output = { type: 'function_call_output', call_id: 'a' };
    const input = [
      { role: 'user', content: 'Hello' },
      {
        type: 'reasoning',
        id: 'rs_1',
        summary: [],
        content: [{ type: 'reasoning_text', text: 'x' }],
      },
      { ...called, call_id: 'a' },
      { ...called, call_id: 'b' },
      { ...output, output: 'Rain' },
      { ...output, call_id: 'b', output: [{ type: 'input_text', text: 'Sun' }] },
      { role: 'assistant', content: 'Once more' },
      { ...called, call_id: 'c' },
    ];
    expect(chatOf({ input })['messages']).toEqual([
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: '', tool_calls: [call('a'), call('b')] },
      { role: 'tool', content: 'Rain', tool_call_id: 'a' },
      { role: 'tool', content: 'Sun', tool_call_id: 'b' },
      { role: 'assistant', content: 'Once more', tool_calls: [call('c')] },
    ]);
  });

  it('has flat tools and formats', () => {
    expect(
      chatOf({
        tools: [tool],
        tool_choice: { type: 'function', name: 'get_weather' },
        text: { format: { type: 'json_schema', name: 'answer', schema: parameters, strict: true } },
      }),
    ).toMatchObject({
      tools: [{ type: 'function', function: { name: 'get_weather', parameters } }],
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: parameters, strict: true },
      },
    });
  });

  it('asks for log probabilities by what it includes, or how many', () => {
    expect(chatOf({ include: ['message.output_text.logprobs'] })).toMatchObject({ logprobs: true });
    expect(chatOf({ top_logprobs: 2 })).toMatchObject({ logprobs: true, top_logprobs: 2 });
    expect(chatOf({ include: ['reasoning.encrypted_content'] })).not.toHaveProperty('logprobs');
  });

  it.each([
    { text: {} },
    { text: { format: { type: 'text' }, verbosity: 'medium' } },
    { reasoning: {} },
    { reasoning: { summary: 'auto' } },
    { store: false, user: 'u', prompt_cache_key: 'k', safety_identifier: 's' },
    { store: true, background: true, stream: true, service_tier: 'flex', metadata: { a: 'b' } },
    { n: 1, tools: [], max_tool_calls: 3, stream_options: { include_obfuscation: true } },
    { tier: 'fast', fallback: 'up', queue_timeout_ms: 1_000, run_timeout_ms: 1, x: 1 },
    { input: [{ type: 'item_reference', id: 'msg_0a_0' }] },
  ])('may be %j', (body) => {
    expect(problemsOf(body)).toEqual([]);
  });

  it.each([
    [{ background: true, store: false }, 'background'],
    [{ conversation: 'conv_1' }, 'conversation'],
    [{ prompt: { id: 'pmpt_1' } }, 'prompt'],
    [{ system_prompt: 'x' }, 'system_prompt'],
    [{ messages: [] }, 'messages'],
    [{ max_tokens: 9 }, 'max_tokens'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ logprobs: true }, 'logprobs'],
    [{ n: 2 }, 'n'],
    [{ reasoning: { effort: 'high' } }, 'reasoning.effort'],
    [{ text: { verbosity: 'low' } }, 'text.verbosity'],
    [{ tools: [{ type: 'web_search' }] }, 'tools.0.type'],
    [{ input: [{ type: 'computer_call', id: 'x' }] }, 'input.0.type'],
    [{ guided_json: {} }, 'guided_json'],
    [{ class: 'batch' }, 'class'],
    [{ on_interrupt: 'fail' }, 'on_interrupt'],
    [{ webhook_url: 'https://example.com' }, 'webhook_url'],
  ])('is refused, not misunderstood: %j', (body, param) => {
    expect(problemsOf(body)).toContainEqual([param, expect.any(String), 'unsupported_parameter']);
  });

  it.each([
    [{ input: undefined }, 'input', 'is required'],
    [{ input: '' }, 'input', 'must hold some text'],
    [{ input: [] }, 'input', 'must not be empty'],
    [{ input: 5 }, 'input', 'must be a string or a list of items'],
    [{ input: [{ type: 'message', role: 'user' }] }, 'input.0.content', 'must be a string or a'],
    [{ input: [{ content: 'x' }] }, 'input.0.role', 'is required'],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input.0.role', 'must be "system"'],
    [
      { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] },
      'input.0.content',
      'must be a string or a',
    ],
    [
      { input: [{ role: 'user', content: [{ type: 'reasoning_text', text: 'x' }] }] },
      'input.0.content',
      'must be a string or a',
    ],
    [
      { input: [{ type: 'function_call', call_id: 'a', name: 'b' }] },
      'input.0.arguments',
      'is req',
    ],
    [{ input: [{ type: 'function_call_output', call_id: 'a' }] }, 'input.0.output', 'is required'],
    [{ input: [{ type: 'item_reference' }] }, 'input.0.id', 'is required'],
    [{ input: '<|image_pad|>' }, 'input.0.content', 'must not hold the placeholder'],
    [{ instructions: '<|image_pad|>' }, 'instructions', 'must not hold the placeholder'],
    [
      { input: [{ type: 'function_call_output', call_id: 'a', output: '<|image_pad|>' }] },
      'input.0.output',
      'must not hold the placeholder',
    ],
    [{ max_output_tokens: 0 }, 'max_output_tokens', 'must be a whole number'],
    [{ max_output_tokens: 2, min_tokens: 3 }, 'min_tokens', 'must not exceed max_output_tokens'],
    [{ tools: [tool, tool] }, 'tools', 'must have names that differ'],
    [{ tool_choice: 'required' }, 'tool_choice', 'needs tools'],
    [
      { tools: [{ ...tool, parameters: { type: 'object', pattern: 'x' } }] },
      'tools.0.parameters.pattern',
      '',
    ],
    [{ metadata: { a: 1 } }, 'metadata.a', 'must be a string'],
  ])('is refused with the field that is wrong: %j', (body, param, message) => {
    expect(problemsOf(body)).toContainEqual([param, expect.stringContaining(message)]);
  });
});
