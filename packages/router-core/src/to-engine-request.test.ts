import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { engineRequestSchema } from './engine-request.ts';
import { chatRequestSchema, jobRequestSchema } from './requests.ts';
import { toEngineRequest } from './to-engine-request.ts';

const DEFAULTS = { maxTokens: 512, temperature: 0.7 };
const engineRequest = (body: unknown) => toEngineRequest(chatRequestSchema.parse(body), DEFAULTS);

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
    expect(engineRequest(body).messages).toStrictEqual(messages);
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
    const text = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' });
    const content = fc.oneof(
      text,
      fc.array(fc.record({ type: fc.constant('text'), text }), { minLength: 1, maxLength: 3 }),
    );
    const role = fc.constantFrom('system', 'developer', 'user', 'assistant');
    const message = fc.record({ role, content, name: text }, { requiredKeys: ['role', 'content'] });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const penalty = fc.double({ min: -2, max: 2, noNaN: true });
    const sampling = fc.record(
      {
        stop: fc.oneof(text, fc.array(text, { maxLength: 4 })),
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
        user: fc.string(),
        model: text,
        n: fc.constant(1),
      },
      { requiredKeys: [] },
    );
    const conversation = fc.oneof(
      fc.record({ prompt: text, system_prompt: fc.string() }, { requiredKeys: ['prompt'] }),
      fc.record({ messages: fc.array(message, { minLength: 1, maxLength: 4 }) }),
    );
    fc.assert(
      fc.property(conversation, sampling, (form, fields) => {
        for (const schema of [chatRequestSchema, jobRequestSchema]) {
          const engine = toEngineRequest(schema.parse({ ...form, ...fields }), DEFAULTS);
          expect(engineRequestSchema.strict().parse(engine)).toStrictEqual(engine);
        }
      }),
    );
  });
});
