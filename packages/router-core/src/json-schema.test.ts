import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SCHEMA_CHARS_MAX, SCHEMA_DEPTH_MAX, checkJsonSchema } from './json-schema.ts';

/** Where a schema is wrong and why; `fine` where it is not. */
function verdict(schema: unknown): string {
  const check = checkJsonSchema(schema);
  return check.kind === 'fine' ? 'fine' : `${check.path.join('.')}: ${check.message}`;
}

/** Something in so many layers of something. */
function nested(levels: number, layer: (inner: unknown) => unknown, core: unknown = {}): unknown {
  let value = core;
  for (let level = 0; level < levels; level += 1) value = layer(value);
  return value;
}

/** A schema with a value of so many lists in a list. */
const listsIn = (levels: number) => ({ default: nested(levels, (inner) => [inner], []) });
/** A schema of so many characters. */
const ofLength = (chars: number) => ({ title: 'x'.repeat(chars - '{"title":""}'.length) });

const string = { type: 'string' };

describe('a JSON schema', () => {
  it.each<[string, unknown]>([
    ['nothing', {}],
    ['an object', { type: 'object', properties: { a: string }, required: ['a'] }],
    ['what a generator writes', { $schema: 'https://json-schema.org/x', title: 'T', $id: 'x' }],
    ['several types', { type: ['string', 'null'] }],
    ['values of any kind', { enum: ['a', null, { b: [1] }], const: null, default: [] }],
    ['anything and nothing', { additionalProperties: false, items: true }],
    ['a tuple', { items: [string, { type: 'integer' }], additionalItems: string }],
    ['a bound that is a number', { minLength: 1, maximum: 1e9, multipleOf: 0.1 }],
    ['keywords that nobody knows', { 'x-order': 1, discriminator: { propertyName: 'kind' } }],
    // Names, not keywords.
    ['a property named like a keyword', { properties: { type: string, pattern: string } }],
    ['a value that looks like a schema', { default: { type: 'banana', pattern: '(' } }],
    ['a definition', { $defs: { 'a/b~c d': string }, $ref: '#/$defs/a~1b~0c%20d' }],
    ['a tree', { properties: { children: { type: 'array', items: { $ref: '#' } } } }],
    [
      'one definition used often',
      { $defs: { a: {} }, anyOf: [{ $ref: '#/$defs/a' }, { allOf: [{ $ref: '#/$defs/a' }] }] },
    ],
  ])('may be %s', (_name, schema) => {
    expect(verdict(schema)).toBe('fine');
  });

  it.each<[string, unknown, string]>([
    ['no object', [], ': must be a JSON schema'],
    ['a text', 'object', ': must be a JSON schema'],
    ['another type', { type: 'banana' }, 'type: must be one of string'],
    ['no type of several', { type: [] }, 'type: must be one of string'],
    ['a type that is a schema', { type: { type: 'string' } }, 'type: must be one of string'],
    [
      'a pattern',
      { properties: { a: { pattern: '(a+)+$' } } },
      'properties.a.pattern: is not supported',
    ],
    [
      'patterns of names',
      { patternProperties: { '^a': {} } },
      'patternProperties: is not supported',
    ],
    [
      'a pattern in a combination',
      { anyOf: [{}, { not: { pattern: 'x' } }] },
      'anyOf.1.not.pattern: is not',
    ],
    ['a pattern of names', { propertyNames: { pattern: 'x' } }, 'propertyNames.pattern: is not'],
    ['a pattern in a tuple', { items: [{ pattern: 'x' }] }, 'items.0.pattern: is not'],
    [
      'a pattern for white space',
      { 'x-guidance': { whitespace_pattern: 'x' } },
      'x-guidance: is not',
    ],
    ['a dynamic reference', { $dynamicRef: '#a' }, '$dynamicRef: is not'],
    ['properties that are a list', { properties: [] }, 'properties: must hold JSON schemas'],
    [
      'a property that is none',
      { properties: { a: 'string' } },
      'properties.a: must be a JSON schema',
    ],
    ['a combination that is none', { anyOf: {} }, 'anyOf: must hold JSON schemas'],
    ['names that are no list', { required: 'a' }, 'required: must be a list of names'],
    ['names that are numbers', { required: [1] }, 'required: must be a list of names'],
    ['no values', { enum: [] }, 'enum: must be a list of values'],
    [
      'a reference to elsewhere',
      { $ref: 'https://example.com/s' },
      '$ref: must lead to a schema within',
    ],
    ['a reference to a file', { $ref: 'file:///etc/passwd' }, '$ref: must lead to a schema within'],
    ['a reference to nowhere', { $ref: '#/$defs/a' }, '$ref: must lead to a schema within'],
    ['a reference to a prototype', { $ref: '#/constructor' }, '$ref: must lead to a schema within'],
    ['a reference to a name', { $ref: '#a', $anchor: 'a' }, '$ref: must lead to a schema within'],
    ['a reference that is no text', { $ref: 1 }, '$ref: must lead to a schema within'],
    // What is hidden in a value is not read as a schema, so it must not be used as one.
    [
      'a reference to a value',
      { default: { pattern: '(' }, not: { $ref: '#/default' } },
      'not.$ref: must lead to',
    ],
    ['a reference to itself', { $ref: '#' }, '$ref: must not lead back'],
    [
      'a circle',
      { $defs: { a: { $ref: '#/$defs/b' }, b: { anyOf: [{}, { $ref: '#/$defs/a' }] } } },
      '$ref: must not lead back',
    ],
  ])('must not be, or hold, %s', (_name, schema, expected) => {
    expect(verdict(schema)).toContain(expected);
  });

  it('nests as deep as it may, whatever it nests in', () => {
    const layers: ((inner: unknown) => unknown)[] = [
      (inner) => ({ properties: { a: inner } }),
      (inner) => ({ anyOf: [inner] }),
      (inner) => ({ items: inner }),
    ];
    for (const layer of layers) {
      expect(verdict(nested(SCHEMA_DEPTH_MAX, layer))).toBe('fine');
      expect(verdict(nested(SCHEMA_DEPTH_MAX + 1, layer))).toBe(
        `: must nest at most ${SCHEMA_DEPTH_MAX} deep`,
      );
    }
    expect(verdict(listsIn(SCHEMA_DEPTH_MAX))).toBe('fine');
    expect(verdict(listsIn(SCHEMA_DEPTH_MAX + 1))).toContain('deep');
  });

  it('is as long as it may be', () => {
    expect(checkJsonSchema(ofLength(SCHEMA_CHARS_MAX))).toEqual({
      kind: 'fine',
      chars: SCHEMA_CHARS_MAX,
    });
    expect(verdict(ofLength(SCHEMA_CHARS_MAX + 1))).toContain(
      `at most ${SCHEMA_CHARS_MAX} characters`,
    );
  });

  it.each<[string, unknown]>([
    ['deep', nested(300_000, (inner) => ({ not: inner }))],
    ['deep in a value', { default: nested(300_000, (inner) => [inner]) }],
    ['wide', { anyOf: Array.from({ length: 300_000 }, () => true) }],
    ['wide in a value', { enum: Array.from({ length: 300_000 }, () => 1) }],
    [
      'a million properties',
      Object.fromEntries(Array.from({ length: 300_000 }, (_, i) => [i, {}])),
    ],
  ])('that is far too %s is refused without being walked', (_name, schema) => {
    expect(verdict(schema)).toMatch(/at most/);
  });

  it('is refused only for a keyword: whatever stands in values and names is fine', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.string(), (value, name) => {
        fc.pre(name !== '__proto__');
        const schema = { default: value, enum: [value], properties: { [name]: { const: value } } };
        expect(verdict(schema)).toBe('fine');
      }),
    );
  });

  it('says of any value whether it may be', () => {
    const names = fc.constantFrom('type', 'properties', 'items', 'anyOf', '$ref', 'not', 'pattern');
    const { schema } = fc.letrec((tie) => ({
      schema: fc.oneof(
        { maxDepth: 6 },
        fc.constantFrom<unknown>(null, true, 'string', 1, '#', '#/items', {}, []),
        fc.dictionary(names, tie('schema'), { maxKeys: 3 }),
        fc.array(tie('schema'), { maxLength: 3 }),
      ),
    }));
    fc.assert(
      fc.property(schema, (value) => {
        const check = checkJsonSchema(value);
        if (check.kind === 'fine') expect(JSON.stringify(value)).toHaveLength(check.chars);
        else expect(check.message).not.toBe('');
      }),
    );
  });
});
