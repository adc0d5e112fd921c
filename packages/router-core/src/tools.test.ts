import { describe, expect, it } from 'vitest';
import { chatRequestSchema, jobRequestSchema, routeRequestSchema } from './requests.ts';

const schemas = { chat: chatRequestSchema, job: jobRequestSchema, route: routeRequestSchema };

const tool = (name: string, more: object = {}) => ({
  type: 'function',
  function: { name, ...more },
});
const named = (name: string) => ({ type: 'function', function: { name } });
const weather = tool('get_weather', {
  description: 'The weather of a city',
  parameters: { type: 'object', properties: { city: { type: 'string' } } },
  strict: true,
});
/** A schema of so many characters. */
const long = (chars: number) => ({ title: 'x'.repeat(chars - '{"title":""}'.length) });

describe.each(Object.entries(schemas))('the tools of a %s request', (_kind, schema) => {
  function problem(fields: object): string | undefined {
    const issue = schema.safeParse({ prompt: 'Hi', ...fields }).error?.issues[0];
    return issue && `${issue.path.map(String).join('.')}: ${issue.message}`;
  }

  it.each<[string, object]>([
    ['one', { tools: [weather] }],
    ['one without parameters', { tools: [tool('now')] }],
    ['none', { tools: [] }],
    ['64', { tools: Array.from({ length: 64 }, (_, index) => tool(`f${index}`)) }],
    ['any choice', { tools: [weather], tool_choice: 'auto', parallel_tool_calls: false }],
    ['a choice that must be made', { tools: [weather], tool_choice: 'required' }],
    ['a choice that is made', { tools: [weather], tool_choice: named('get_weather') }],
    ['no choice of nothing', { tool_choice: 'none' }],
    [
      'long parameters',
      { tools: [tool('a', { parameters: long(32_768) }), tool('b', { parameters: long(32_768) })] },
    ],
    ['a long description', { tools: [tool('a', { description: 'x'.repeat(4_096) })] }],
  ])('may be %s', (_name, fields) => {
    expect(problem(fields)).toBeUndefined();
  });

  it.each<[string, object, string]>([
    ['no list', { tools: weather }, 'tools: must be a list of tools'],
    [
      'too many',
      { tools: Array.from({ length: 65 }, (_, index) => tool(`f${index}`)) },
      'tools: must hold at most 64 tools',
    ],
    [
      'of another kind',
      { tools: [{ ...weather, type: 'custom' }] },
      'tools.0.type: must be "function"',
    ],
    [
      'without a function',
      { tools: [{ type: 'function' }] },
      'tools.0.function: must be an object',
    ],
    ['without a name', { tools: [tool('')] }, 'tools.0.function.name: must be 1 to 64'],
    [
      'with a long name',
      { tools: [tool('f'.repeat(65))] },
      'tools.0.function.name: must be 1 to 64',
    ],
    [
      'with a name of other letters',
      { tools: [tool('a b')] },
      'tools.0.function.name: must be 1 to 64',
    ],
    [
      'with one name for two',
      { tools: [tool('a'), tool('a')] },
      'tools: must have names that differ',
    ],
    [
      'with a long description',
      { tools: [tool('a', { description: 'x'.repeat(4_097) })] },
      'tools.0.function.description: must have at most 4096',
    ],
    [
      'with parameters that are no schema',
      { tools: [tool('a', { parameters: [] })] },
      'tools.0.function.parameters: must be a JSON schema',
    ],
    [
      'with a pattern',
      { tools: [tool('a', { parameters: { properties: { x: { pattern: '(' } } } })] },
      'tools.0.function.parameters.properties.x.pattern: is not supported',
    ],
    [
      'with a type that is none',
      { tools: [tool('a', { parameters: { type: 'banana' } })] },
      'tools.0.function.parameters.type: must be one of',
    ],
    [
      'too long',
      { tools: [tool('a', { parameters: long(32_769) })] },
      'tools.0.function.parameters: must have at most 32768',
    ],
    [
      'too long together',
      { tools: ['a', 'b', 'c'].map((name) => tool(name, { parameters: long(32_768) })) },
      'tools: must have parameters of at most 65536',
    ],
    [
      'with a placeholder',
      { tools: [tool('a', { description: '<|image_pad|>' })] },
      'tools: must not hold the placeholder',
    ],
    [
      'with a choice that is none',
      { tools: [weather], tool_choice: 'any' },
      'tool_choice: must be "none"',
    ],
    [
      'with a choice of another',
      { tools: [weather], tool_choice: named('f') },
      'tool_choice: must name one of the tools',
    ],
    [
      'with a choice that must be made of nothing',
      { tool_choice: 'required' },
      'tool_choice: needs tools',
    ],
    [
      'with a choice of nothing',
      { tools: [], tool_choice: named('f') },
      'tool_choice: must name one of the tools',
    ],
    [
      'with calls that are half parallel',
      { parallel_tool_calls: 'some' },
      'parallel_tool_calls: must be true or false',
    ],
  ])('are refused %s', (_name, fields, expected) => {
    expect(problem(fields)).toContain(expected);
  });

  it('are refused also where they are too deep to be looked at as a whole', () => {
    let deep: unknown = {};
    for (let level = 0; level < 100_000; level += 1) deep = { not: deep };
    expect(problem({ tools: [tool('a', { parameters: deep })] })).toContain('at most 10 deep');
  });
});
