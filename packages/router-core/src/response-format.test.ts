import { describe, expect, it } from 'vitest';
import { responseFormatSchema } from './response-format.ts';

const answer = (more: object) => ({
  type: 'json_schema',
  json_schema: { name: 'answer', schema: { type: 'object' }, ...more },
});

function problem(format: unknown): string | undefined {
  const issue = responseFormatSchema.safeParse(format).error?.issues[0];
  return issue && `${issue.path.map(String).join('.')}: ${issue.message}`;
}

describe('the form of an answer', () => {
  it.each<unknown>([
    { type: 'text' },
    { type: 'json_object' },
    answer({}),
    answer({ description: 'An answer', strict: true }),
    answer({ schema: {} }),
  ])('may be %j', (format) => {
    expect(problem(format)).toBeUndefined();
  });

  it.each<[string, unknown, string]>([
    ['a text', 'json', ': must have the type "text", "json_object" or "json_schema"'],
    ['another type', { type: 'structural_tag', structures: [] }, 'type: must have the type'],
    ['no schema', { type: 'json_schema' }, 'json_schema: must be an object'],
    ['a schema without a name', answer({ name: '' }), 'json_schema.name: must be 1 to 64'],
    ['an empty schema', answer({ schema: undefined }), 'json_schema.schema: must be a JSON schema'],
    ['a pattern', answer({ schema: { pattern: '(' } }), 'json_schema.schema.pattern: is not'],
    [
      'a schema elsewhere',
      answer({ schema: { $ref: 'http://x' } }),
      'json_schema.schema.$ref: must',
    ],
    [
      'a long schema',
      answer({ schema: { title: 'x'.repeat(40_000) } }),
      'json_schema.schema: must have at most 32768',
    ],
    [
      'a placeholder',
      answer({ schema: { title: '<|image_pad|>' } }),
      ': must not hold the placeholder',
    ],
  ])('is refused with %s', (_name, format, expected) => {
    expect(problem(format)).toContain(expected);
  });

  it('is forwarded without what is not known', () => {
    const format = { ...answer({ backend: 'outlines' }), whitespace_pattern: '(' };
    expect(responseFormatSchema.parse(format)).toStrictEqual(answer({}));
  });

  it('is refused also where it is too deep to be looked at as a whole', () => {
    let deep: unknown = {};
    for (let level = 0; level < 100_000; level += 1) deep = { not: deep };
    expect(problem(answer({ schema: deep }))).toContain('at most 10 deep');
  });
});
