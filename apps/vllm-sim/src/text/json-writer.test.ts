import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compileSchema } from './json-schema.ts';
import { satisfies } from './json-schema-for-test.ts';
import { drawFromHash, startPrefixHash } from './prefix-hash.ts';
import { writeJson } from './json-writer.ts';

function write(schema: unknown, seed = 0): string {
  const compiled = compileSchema(schema);
  if (compiled.kind === 'refused') throw new Error(compiled.reason);
  const hash = startPrefixHash([seed]);
  let draws = 0;
  return writeJson(compiled.shape, (below) => {
    draws += 1;
    return drawFromHash(hash, { purpose: draws, below });
  });
}

const bounds = fc.record({ low: fc.integer({ min: -500, max: 500 }), span: fc.nat(50) });
const length = fc.record({ least: fc.nat(30), span: fc.nat(30) });
const name = fc.string({ minLength: 1, maxLength: 8 });
const scalar = fc.oneof(
  fc.constantFrom(
    { type: 'boolean' },
    { type: 'null' },
    { type: 'string' },
    { type: 'integer' },
    {},
  ),
  fc
    .constantFrom('date', 'date-time', 'email', 'uuid')
    .map((format) => ({ type: 'string', format })),
  length.map(({ least, span }) => ({ type: 'string', minLength: least, maxLength: least + span })),
  bounds.map(({ low, span }) => ({ type: 'integer', minimum: low, maximum: low + span })),
  bounds.map(({ low }) => ({ type: 'integer', exclusiveMinimum: low })),
  bounds.map(({ low }) => ({ type: 'number', maximum: low / 7 })),
  bounds.map(({ low, span }) => ({
    type: 'number',
    exclusiveMinimum: low / 3,
    exclusiveMaximum: low / 3 + span + 0.25,
  })),
  fc.jsonValue({ maxDepth: 1 }).map((value) => ({ const: value })),
  fc.array(fc.jsonValue({ maxDepth: 1 }), { minLength: 1 }).map((values) => ({ enum: values })),
  fc.constant({ type: ['string', 'null'] }),
);
const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc
      .record({
        properties: fc.dictionary(name, tie('schema'), { maxKeys: 5 }),
        required: fc.uniqueArray(name, { maxLength: 2 }),
      })
      .map(({ properties, required }) => ({
        type: 'object',
        properties,
        required: [...required, ...Object.keys(properties).slice(0, 2)],
      })),
    fc
      .record({ items: tie('schema'), least: fc.nat(4), span: fc.nat(3) })
      .map(({ items, least, span }) => ({
        type: 'array',
        items,
        minItems: least,
        maxItems: least + span,
      })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
  ),
}));

test('what is written satisfies its schema', () => {
  fc.assert(
    fc.property(schema, fc.nat(), (each, seed) => {
      const value: unknown = JSON.parse(write(each, seed));
      expect(satisfies(value, each, each)).toBe(true);
    }),
    { numRuns: 500 },
  );
});

const TREE = {
  type: 'object',
  properties: {
    label: { type: 'string', minLength: 1 },
    children: { type: 'array', items: { $ref: '#/$defs/node' } },
    parent: { anyOf: [{ $ref: '#' }, { type: 'null' }] },
  },
  required: ['label', 'children', 'parent'],
  $defs: { node: { $ref: '#' } },
};

test('a schema that contains itself is written to a finite depth', () => {
  const tree = {
    ...TREE,
    properties: { ...TREE.properties, children: { ...TREE.properties.children, minItems: 0 } },
  };
  for (let seed = 0; seed < 50; seed += 1) {
    const text = write(tree, seed);
    expect(satisfies(JSON.parse(text), tree, tree)).toBe(true);
    expect(text.length).toBeLessThan(50_000);
  }
});

test('definitions may stand in any order', () => {
  const pair = { type: 'array', prefixItems: [{ $ref: '#/$defs/b' }], minItems: 1, maxItems: 1 };
  const each = { $ref: '#/$defs/a', $defs: { a: pair, b: { type: 'null' } } };
  expect(write(each)).toBe('[null]');
});

test('the same draws give the same text, others another', () => {
  const each = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
  expect(write(each, 1)).toBe(write(each, 1));
  expect(new Set(Array.from({ length: 20 }, (_, seed) => write(each, seed))).size).toBeGreaterThan(
    5,
  );
});

test('an object without properties is empty, one of which nothing is said is not', () => {
  expect(write({ type: 'object', properties: {} })).toBe('{}');
  expect(Object.keys(JSON.parse(write({ type: 'object' })))).not.toEqual([]);
});

test.for([
  [{ type: 'string', pattern: '^a+$' }, 'pattern'],
  [{ type: 'integer', multipleOf: 3 }, 'multipleOf'],
  [{ type: 'integer', minimum: 2, maximum: 1 }, 'an empty range'],
  [{ type: 'number', minimum: 2, exclusiveMaximum: 2 }, 'an empty range'],
  [{ type: 'string', minLength: 3, maxLength: 2 }, 'minLength above maxLength'],
  [{ type: 'array', items: {}, minItems: 2_000 }, 'minItems above 1000'],
  [{ type: 'point' }, 'type "point"'],
  [{ enum: [] }, 'an empty enum'],
  [{ $ref: '#/$defs/missing' }, '$ref #/$defs/missing'],
  [{ $ref: '#' }, 'a schema without a small value'],
  [
    { type: 'object', properties: { self: { $ref: '#' } }, required: ['self'] },
    'a schema without a small value',
  ],
  [doubling(25), 'a schema without a small value'],
  ['object', 'a schema that is no object'],
] as const)('schema %$ is refused with its reason', ([each, reason]) => {
  expect(compileSchema(each)).toEqual({ kind: 'refused', reason });
});

/** A small schema whose smallest value is huge: each definition needs the next one twice. */
function doubling(levels: number): object {
  const definitions = Array.from({ length: levels }, (_, level) => [
    `level${level}`,
    level + 1 === levels
      ? { type: 'null' }
      : {
          type: 'array',
          prefixItems: [
            { $ref: `#/$defs/level${level + 1}` },
            { $ref: `#/$defs/level${level + 1}` },
          ],
          minItems: 2,
        },
  ]);
  return { $ref: '#/$defs/level0', $defs: Object.fromEntries(definitions) };
}
