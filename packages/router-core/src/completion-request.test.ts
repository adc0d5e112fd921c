import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isCacheable } from './cached-answer.ts';
import { classify } from './classify.ts';
import { completionRequestSchema } from './completion-request.ts';
import { engineRequestSchema } from './engine-request.ts';
import { DEFAULT_POLICY } from './routing-policy.ts';
import { extractFeatures } from './text-features.ts';
import { toEngineRequest } from './to-engine-request.ts';

const DEFAULTS = { maxTokens: 16, temperature: 0.7 };
const parsed = (body: object) => completionRequestSchema.parse(body);
const raw = (body: object) => ({ ...parsed(body), isRaw: true as const });
const engineRequest = (body: object) => toEngineRequest(raw(body), DEFAULTS);

function problem(body: unknown): object | undefined {
  const issue = completionRequestSchema.safeParse(body).error?.issues[0];
  const isUnsupported = issue?.code === 'custom' && issue.params?.['code'] !== undefined;
  return issue && { param: issue.path.join('.'), isUnsupported };
}

describe('a completion', () => {
  it('has one prompt, alone or in a list, and 16 tokens unless it says otherwise', () => {
    expect(parsed({ prompt: 'Hi' })).toEqual({ prompt: 'Hi', max_tokens: 16 });
    expect(parsed({ prompt: ['Hi'], max_tokens: 5 })).toEqual({ prompt: 'Hi', max_tokens: 5 });
  });

  it.each([[['a', 'b']], [[1, 2]], [[[1, 2]]], [[]], [1], [{}], [true]])(
    'does not support a prompt like %j',
    (prompt) => expect(problem({ prompt })).toEqual({ param: 'prompt', isUnsupported: true }),
  );

  it.each([{}, { prompt: '' }, { prompt: [''] }, { prompt: '<|image_pad|>' }])(
    'is not valid with %j',
    (body) => expect(problem(body)).toEqual({ param: 'prompt', isUnsupported: false }),
  );

  it.each([
    { logprobs: 6 },
    { logprobs: true },
    { max_tokens: 0 },
    { min_tokens: 17 },
    { n: 5 },
    { fallback: 'sideways' },
    { queue_timeout_ms: 0 },
    { stop: ['a', 'b', 'c', 'd', 'e'] },
  ])('is not valid with %j', (fields) => {
    const [param] = Object.keys(fields);
    expect(problem({ prompt: 'Hi', ...fields })).toEqual({ param, isUnsupported: false });
  });

  it.each([
    { echo: true },
    { suffix: '.' },
    { best_of: 2 },
    { logit_bias: { 1: 1 } },
    { messages: [] },
    { tools: [] },
    { response_format: { type: 'text' } },
    { truncation: 'auto' },
    { max_completion_tokens: 5 },
    { on_interrupt: 'fail' },
    { webhook_url: 'https://example.org' },
  ])('does not support %j', (fields) => {
    const [param] = Object.keys(fields);
    expect(problem({ prompt: 'Hi', ...fields })).toEqual({ param, isUnsupported: true });
  });

  it('may say what is not used, or unknown', () => {
    const harmless = { echo: false, suffix: '', best_of: 1, logit_bias: {}, user: 'u', x: 1 };
    expect(engineRequest({ prompt: 'Hi', ...harmless })).toEqual({
      prompt: 'Hi',
      max_tokens: 16,
      temperature: 0.7,
    });
  });
});

describe('what an engine is sent for it', () => {
  it('is all that was understood, and nothing else, whatever came', () => {
    const known = {
      top_p: fc.constantFrom(0, 0.5),
      top_k: fc.constant(3),
      seed: fc.integer(),
      stop: fc.constantFrom('x', ['y', 'z']),
      n: fc.constantFrom(1, 2),
      logprobs: fc.constantFrom(0, 5),
      ignore_eos: fc.boolean(),
      isRaw: fc.constant('HOSTILE'),
      chat_template_kwargs: fc.constant({}),
      stream: fc.boolean(),
      user: fc.constant('HOSTILE'),
    };
    const body = fc.record(known, { requiredKeys: [] });
    fc.assert(
      fc.property(body, (fields) => {
        const engine = engineRequest({ prompt: 'Hi', ...fields });
        expect(engineRequestSchema.parse(engine)).toStrictEqual(engine);
        expect(JSON.stringify(engine)).not.toContain('HOSTILE');
        expect(engine).not.toHaveProperty('messages');
        if (fields.logprobs !== undefined)
          expect(engine).toHaveProperty('logprobs', fields.logprobs);
      }),
    );
  });

  it.each([{ messages: [] }, { tools: [] }, { echo: true }, { logprobs: true }, { prompt: '' }])(
    'is none with %j',
    (fields) => {
      const valid = engineRequest({ prompt: 'Hi' });
      expect(engineRequestSchema.safeParse(valid).success).toBe(true);
      expect(engineRequestSchema.safeParse({ ...valid, ...fields }).success).toBe(false);
    },
  );

  it('may be cached where another run would say the same', () => {
    expect(
      isCacheable(toEngineRequest(raw({ prompt: 'Hi' }), { ...DEFAULTS, temperature: 0 })),
    ).toBe(true);
    for (const fields of [{}, { n: 2, temperature: 0 }, { logprobs: 0, temperature: 0 }]) {
      const { temperature = 1 } = fields as { temperature?: number };
      const engine = toEngineRequest(raw({ prompt: 'Hi', ...fields }), {
        ...DEFAULTS,
        temperature,
      });
      expect(isCacheable(engine)).toBe(false);
    }
  });
});

describe('its route', () => {
  it('follows from its words, as those of a user', () => {
    const code = classify(raw({ prompt: 'def f(x):\n  return' }), DEFAULT_POLICY);
    expect(code).toMatchObject({ kind: 'routed', tier: 'precise', reasons: ['code'] });
    const long = classify(raw({ prompt: 'word '.repeat(200) }), DEFAULT_POLICY);
    expect(long).toMatchObject({ tier: 'balanced', reasons: ['words>150'] });
  });

  it('counts no template', () => {
    const request = { prompt: 'abcd'.repeat(5) };
    expect(extractFeatures(raw(request), DEFAULT_POLICY).promptTokens).toBe(5 + 1);
  });

  it('is refused in the words of a prompt', () => {
    const refusal = classify(raw({ prompt: 'x '.repeat(200_000) }), DEFAULT_POLICY);
    expect(refusal).toMatchObject({ code: 'context_length_exceeded', param: 'prompt' });
    expect(refusal).toHaveProperty(
      'message',
      expect.stringContaining(' in the prompt, 16 in the '),
    );
  });
});
