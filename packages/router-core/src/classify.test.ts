import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { classify } from './classify.ts';
import type { Routing } from './classify.ts';
import { DEFAULT_POLICY, createPolicy } from './routing-policy.ts';
import type { RoutableRequest } from './text-features.ts';

const route = (request: RoutableRequest, options = {}) =>
  classify(request, DEFAULT_POLICY, options);
const TIERS = DEFAULT_POLICY.tiers.map(({ name }) => name);

describe('the cases that decide', () => {
  const caseSchema = z.object({
    name: z.string(),
    request: z.looseObject({
      messages: z.array(z.object({ role: z.string(), content: z.any() })).optional(),
    }),
    tier: z.string(),
    why: z.string(),
  });
  const file = new URL('../../../test/cases/routing.json', import.meta.url);
  const cases = z.array(caseSchema).parse(JSON.parse(readFileSync(file, 'utf8')));

  it.each(cases)('$name', ({ request, tier, why }) => {
    expect(route(request)).toMatchObject({ kind: 'routed', tier, reasons: [why] });
  });
});

describe('a pin', () => {
  it.each([
    [{ tier: 'auto' }, 'fast', 'default'],
    [{ model: 'auto' }, 'fast', 'default'],
    [{ model: 'some-model' }, 'fast', 'default'],
    [{ tier: 'auto', model: 'precise' }, 'precise', 'pinned'],
    [{ tier: 'precise', model: 'auto' }, 'precise', 'pinned'],
    [{ tier: 'precise', model: 'precise' }, 'precise', 'pinned'],
    [{ tier: 'balanced', model: 'some-model' }, 'balanced', 'pinned'],
  ])('of %j means %s', (names, tier, why) => {
    expect(route({ ...names, prompt: 'Hi' })).toMatchObject({ tier, reasons: [why] });
  });

  it('names a model that is served, or is refused, where the served ones are known', () => {
    const servedModels = ['llama'];
    expect(route({ model: 'llama' }, { servedModels })).toMatchObject({ reasons: ['default'] });
    expect(route({ model: 'fast' }, { servedModels })).toMatchObject({ reasons: ['pinned'] });
    expect(route({ model: 'gpt' }, { servedModels })).toMatchObject({
      kind: 'refused',
      code: 'model_not_found',
      param: 'model',
      message: 'The model "gpt" does not exist; use auto or one of: fast, balanced, precise.',
    });
    expect(route({ model: 'gpt' }, { servedModels: [] })).toMatchObject({ kind: 'routed' });
  });

  it('to a tier that does not exist is refused', () => {
    for (const tier of ['medium', '', 'FAST', '__proto__', 'constructor']) {
      expect(route({ tier })).toMatchObject({
        kind: 'refused',
        code: 'unknown_tier',
        param: 'tier',
      });
    }
  });

  it('to two tiers is refused', () => {
    expect(route({ tier: 'fast', model: 'precise' })).toMatchObject({
      kind: 'refused',
      code: 'conflicting_pin',
      param: 'tier',
      message: 'tier names "fast" and model names "precise"; send one of them.',
    });
  });
});

describe('the context window', () => {
  const long = 'abcd '.repeat(120).trimEnd();

  it('takes a request that is too long to the next tier up that holds it, and says so', () => {
    expect(route({ prompt: 'Hi' }, { exactPromptTokens: { fast: 1537 } })).toMatchObject({
      tier: 'balanced',
      reasons: ['context'],
      fits: { fast: false, balanced: true, precise: true },
    });
    expect(
      route({ prompt: 'Hi', max_tokens: 513 }, { exactPromptTokens: { balanced: 8000 } }),
    ).toMatchObject({ tier: 'precise', reasons: ['max_tokens>512', 'context'] });
  });

  it('never takes a request to a less precise tier, even where only that one holds it', () => {
    const policy = createPolicy({
      tiers: [
        { name: 'wide', maxModelLen: 10_000 },
        { name: 'narrow', maxModelLen: 1000 },
      ],
      rules: [
        { tier: 'narrow', when: 'code' },
        { tier: 'wide', when: 'default' },
      ],
    });
    const routing = classify({ prompt: '```\nx\n```', max_tokens: 2000 }, policy);
    expect(routing).toMatchObject({ kind: 'refused', tier: 'narrow', param: 'max_tokens' });
  });

  it('prefers an exact count of tokens to the estimate, for the tier it is of', () => {
    const exactPromptTokens = { fast: 1 };
    const request = { prompt: long.repeat(20), max_tokens: 500, tier: 'fast' };
    expect(route(request)).toMatchObject({ kind: 'refused' });
    expect(route(request, { exactPromptTokens })).toMatchObject({ kind: 'routed', tier: 'fast' });
    expect(
      route({ ...request, tier: 'auto' }, { exactPromptTokens: { precise: 99_999 } }),
    ).toMatchObject({ tier: 'balanced', fits: { precise: false } });
  });

  it('refuses a pinned tier with the numbers, in words that clients know', () => {
    expect(route({ prompt: long, tier: 'fast', max_tokens: 2000 })).toMatchObject({
      kind: 'refused',
      code: 'context_length_exceeded',
      param: 'messages',
      tier: 'fast',
      message:
        "This model's maximum context length is 2048 tokens. However, you requested 2158 tokens " +
        '(158 in the messages, 2000 in the completion). Please reduce the length of the messages ' +
        'or completion. (Tier: fast.)',
    });
  });

  it('refuses what no tier holds with the numbers of the largest', () => {
    const routing = route({ prompt: 'Hi', max_tokens: 40_000 });
    expect(routing).toMatchObject({
      code: 'context_length_exceeded',
      param: 'max_tokens',
      tier: 'precise',
      fits: { fast: false, balanced: false, precise: false },
    });
    expect(routing.kind === 'refused' && routing.message).toContain('is 32768 tokens');
  });
});

describe('for any text', () => {
  const unit = fc.integer({ min: 0, max: 0xffff }).map((code) => String.fromCharCode(code));
  const word = fc.constantFrom(
    'alpha ',
    '漢字',
    '\n',
    '```',
    '~~~',
    'def f(x):',
    'SELECT a ',
    '=>',
  );
  const prompt = fc.oneof(fc.string({ unit }), fc.string({ unit: word, maxLength: 400 }));
  const request = fc.record(
    {
      prompt,
      system_prompt: fc.string({ maxLength: 50 }),
      temperature: fc.option(fc.double({ min: 0, max: 2, noNaN: true })),
      max_tokens: fc.option(fc.integer({ min: 1, max: 40_000 })),
    },
    { requiredKeys: ['prompt'] },
  );

  it('a request is routed to a tier that fits, or refused', () => {
    fc.assert(
      fc.property(request, (any) => {
        const routing = route(any);
        const tooLong = routing.kind === 'refused' && routing.code === 'context_length_exceeded';
        expect(tooLong || routing.fits[routing.tier ?? '']).toBe(true);
      }),
    );
  });

  it('raising max_tokens never lowers the tier', () => {
    fc.assert(
      fc.property(request, fc.nat(2000), (any, more) => {
        const raised = { ...any, max_tokens: (any.max_tokens ?? 512) + more };
        expect(rank(route(raised))).toBeGreaterThanOrEqual(rank(route(any)));
      }),
    );
  });

  it('adding a fenced block never lowers the tier', () => {
    const fence = fc.constantFrom('```', '~~~', '```js', '> ```', '````');
    fc.assert(
      fc.property(request, fence, fc.boolean(), (any, open, first) => {
        const block = `${open}\nx\n${open}`;
        const longer = first ? `${block}\n${any.prompt}` : `${any.prompt}\n${block}`;
        const routing = route({ ...any, prompt: longer });
        expect(routing.features.code).toBe(true);
        expect(rank(routing)).toBeGreaterThanOrEqual(rank(route(any)));
      }),
    );
  });

  it('a pinned request stays pinned', () => {
    const field = fc.constantFrom('tier', 'model');
    fc.assert(
      fc.property(request, fc.constantFrom(...TIERS), field, (any, tier, by) => {
        const routing = route({ ...any, [by]: tier });
        const reasons = routing.kind === 'routed' ? routing.reasons : ['pinned'];
        expect({ tier: routing.tier, reasons }).toEqual({ tier, reasons: ['pinned'] });
      }),
    );
  });

  it('a system message changes neither words nor code', () => {
    fc.assert(
      fc.property(request, prompt, (any, system) => {
        const { words, code } = route(any).features;
        expect(route({ ...any, system_prompt: system }).features).toMatchObject({ words, code });
      }),
    );
  });
});

/**
 * Linear work takes a few milliseconds here; work that looks back over what it has read takes
 * 50,000 times as many steps, and seconds. The limit lies far from both, so that neither a
 * slow machine nor a busy one changes the verdict.
 */
describe('the time it takes grows no faster than the text', () => {
  const CHARS = 100_000;
  const LIMIT_MS = 500;
  const RUNS_MAX = 2;

  it.each([
    'def',
    'def x\n',
    'def a(',
    '`',
    '```',
    '``` a',
    '~~~ ~',
    ' ',
    '\n',
    '\r\n',
    'import ',
    'import a b\n',
    'from a import b, ',
    'SELECT ',
    'SELECT a,\n',
    'select (\n',
    'insert into a(\n',
    'class A<',
    'private A<a<b>',
    'a',
    '漢',
    '😀',
    '\ud83d',
    'const a::',
    'function f(',
    'private a b(',
    'if a = b\n',
    'ab(;\n',
    'a.b(=>=',
    'a {',
    ': : : \n',
    'x：',
    '> 1. ',
    'The quick brown fox jumps over the lazy dog. ',
  ])('%j', (unit) => {
    const request = { prompt: filled(unit, CHARS) };
    let leastMs = durationMs(() => route(request));
    for (let run = 1; run < RUNS_MAX && leastMs > LIMIT_MS; run += 1) {
      leastMs = Math.min(
        leastMs,
        durationMs(() => route(request)),
      );
    }
    expect(leastMs).toBeLessThan(LIMIT_MS);
  });
});

function rank(routing: Routing): number {
  return routing.kind === 'routed' ? TIERS.indexOf(routing.tier) : TIERS.length;
}

function filled(unit: string, chars: number): string {
  return unit.repeat(Math.ceil(chars / unit.length)).slice(0, chars);
}

function durationMs(run: () => unknown): number {
  const startedAt = performance.now();
  run();
  return performance.now() - startedAt;
}
