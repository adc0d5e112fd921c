import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_POLICY } from './routing-policy.ts';
import { estimatePromptTokens, estimateToolTokens, extractFeatures } from './text-features.ts';
import type { RoutableRequest } from './text-features.ts';

const features = (request: RoutableRequest) => extractFeatures(request, DEFAULT_POLICY);
const words = (prompt: string) => features({ prompt }).words;

describe('words', () => {
  it.each([
    ['', 0],
    [' \n\t\u00a0\u3000 ', 0],
    ['one', 1],
    ['  one\ttwo\r\nthree\u00a0four\u2003five  ', 5],
    ['2 + 2 = ?', 5],
    ['well-known e.g. (this)', 3],
    ['Привет, мир', 2],
    ['안녕하세요 세계', 2],
    ['🙂 🙂', 2],
    ['漢', 1],
    ['漢字', 1],
    ['漢字か', 2],
    ['カタカナ', 2],
    ['สวัสดี', 3],
    ['漢字。仮名、', 2],
    ['(漢字)!', 1],
    ['漢字 漢字', 2],
    ['漢 字 か', 2],
    ['iPhoneを3台', 3],
    ['use 漢字 here', 3],
    ['\u{20000}\u{20001}', 1],
    ['\ud840', 1],
    ['\ud800 \udfff', 2],
  ])('%j has %d', (prompt, expected) => {
    expect(words(prompt)).toBe(expected);
  });

  it('are counted in every message but system and developer ones', () => {
    const messages = [
      { role: 'system', content: 'not counted' },
      { role: 'developer', content: 'nor this' },
      { role: 'user', content: 'one two' },
      { role: 'assistant', content: 'three' },
      { role: 'tool', content: 'four' },
      { role: 'user', content: null },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'five' },
          { type: 'image_url' },
          { type: 'text', text: 'six' },
        ],
      },
    ];
    expect(features({ messages, prompt: 'seven', system_prompt: 'not this' }).words).toBe(7);
  });

  it('of scripts without spaces are halved over the whole request, not for each message', () => {
    const messages = [1, 2, 3].map(() => ({ role: 'user', content: '漢' }));
    expect(features({ messages }).words).toBe(2);
  });

  it('are what splitting at white space gives, in a text with spaces', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'é', 'ж', '-', '.', '1', ' ', '\n', '\t'),
    });
    fc.assert(
      fc.property(text, (prompt) => {
        expect(words(prompt)).toBe(prompt.split(/\s+/).filter((word) => word !== '').length);
      }),
    );
  });
});

describe('the other features', () => {
  it('take the defaults of the policy where the request names none, or null', () => {
    expect(features({ prompt: 'Hi' })).toMatchObject({ maxTokens: 512, temperature: 0.7 });
    expect(features({ prompt: 'Hi', max_tokens: null, temperature: null })).toMatchObject({
      maxTokens: 512,
      temperature: 0.7,
    });
    expect(features({ prompt: 'Hi', temperature: 0 }).temperature).toBe(0);
  });

  it('prefer max_completion_tokens to max_tokens', () => {
    expect(features({ max_tokens: 5, max_completion_tokens: 7 }).maxTokens).toBe(7);
    expect(features({ max_tokens: 5, max_completion_tokens: null }).maxTokens).toBe(5);
  });

  it('see code in any message but system and developer ones', () => {
    const code = '```\nx\n```';
    const by = (role: string) => features({ messages: [{ role, content: code }] }).code;
    expect(['user', 'assistant', 'tool', 'system', 'developer'].filter(by)).toEqual([
      'user',
      'assistant',
      'tool',
    ]);
    expect(features({ system_prompt: code }).code).toBe(false);
  });
});

describe('the estimate of prompt tokens', () => {
  it('counts all roles, and a template for each message and for the answer', () => {
    expect(estimatePromptTokens([])).toBe(3);
    expect(features({ prompt: 'abcd' }).promptTokens).toBe(1 + 5 + 3);
    expect(features({ prompt: 'abcd', system_prompt: 'abcdefgh' }).promptTokens).toBe(3 + 10 + 3);
  });

  it('is a quarter for Latin letters, half for other ones and digits, one for Han and half an emoji', () => {
    expect(textTokens('abcd '.repeat(100))).toBe(125);
    expect(textTokens('0123456789')).toBe(5);
    expect(textTokens('Привет')).toBe(3);
    expect(textTokens('漢字')).toBe(2);
    expect(textTokens('\u{20000}')).toBe(2);
    expect(textTokens('🙂')).toBe(2);
  });

  it('is the same from a request and from its messages', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ role: fc.string(), content: fc.string() })), (messages) => {
        expect(features({ messages }).promptTokens).toBe(estimatePromptTokens(messages));
      }),
    );
  });
});

describe('tools', () => {
  const code = 'def f(x):\n  return x';
  const tools = [{ type: 'function', function: { name: 'run', description: code } }];
  const tool_calls = [
    { id: 'c', type: 'function', function: { name: 'run', arguments: JSON.stringify({ code }) } },
  ];
  const asked = { role: 'assistant', content: null, tool_calls };
  const user = { role: 'user', content: 'abcd' };

  it('count as tokens, as the JSON that the model reads', () => {
    const plain = features({ messages: [user] }).promptTokens;
    const withTools = features({ messages: [user], tools }).promptTokens;
    expect(withTools).toBe(plain + estimateToolTokens({ tools }));
    expect(estimateToolTokens({ tools })).toBeGreaterThan(JSON.stringify(tools).length / 4);
    expect([estimateToolTokens({}), estimateToolTokens({ tools: [] })]).toEqual([0, 0]);

    const called = features({ messages: [user, asked] }).promptTokens;
    expect(called - plain).toBeGreaterThan(JSON.stringify(tool_calls).length / 4);
    expect(called).toBe(estimatePromptTokens([user, asked]));
  });

  it('are neither words nor code of anybody', () => {
    expect(features({ messages: [user, asked], tools })).toMatchObject({ words: 1, code: false });
  });
});

/** Without the template of one message and of the answer. */
function textTokens(content: string): number {
  return estimatePromptTokens([{ role: 'user', content }]) - 8;
}
