import { expect, test } from 'vitest';
import { decode } from '../tokenizer.ts';
import { ANY_OBJECT, type JsonShape } from './json-shape.ts';
import { startPrefixHash } from './prefix-hash.ts';
import { writeScript } from './script.ts';

const NUMBERS: JsonShape = {
  kind: 'list',
  first: [],
  rest: { kind: 'integer', min: 0, max: 1000 },
  itemsMin: 20,
  itemsMax: 20,
};

test('the values of a document differ', () => {
  const ids = writeScript({ kind: 'json', shape: NUMBERS }, startPrefixHash([0]));
  const values: number[] = JSON.parse(decode(ids));
  expect(new Set(values).size).toBeGreaterThan(10);
});

test('what stands before it decides a script', () => {
  const texts = Array.from({ length: 20 }, (_, seed) =>
    decode(writeScript({ kind: 'choice', texts: ['a', 'b', 'c'] }, startPrefixHash([seed]))),
  );
  expect(new Set(texts)).toEqual(new Set(['a', 'b', 'c']));
});

test('a tool call is written in markup, or as its arguments alone', () => {
  const call = { kind: 'tool_call', name: 'a "b"', parameters: ANY_OBJECT } as const;
  const marked = decode(writeScript({ ...call, markup: true }, startPrefixHash([0])));
  const bare = decode(writeScript({ ...call, markup: false }, startPrefixHash([0])));
  expect(marked).toBe(`<tool_call>\n{"name": "a \\"b\\"", "arguments": ${bare}}\n</tool_call>`);
});
