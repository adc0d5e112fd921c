import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { createTextAssembler, decode, encode, VOCABULARY_SIZE } from './tokenizer.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.lorem({ mode: 'sentences' }),
  fc.stringMatching(/^[ a-zA-Z0-9<|>_\n]*$/),
);

test('any text comes back from its ids', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(decode(encode(text))).toBe(text.toWellFormed());
    }),
  );
});

test('ids come back one by one as they do at once', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const assembler = createTextAssembler();
      const pieces = encode(text).map((id) => assembler.push(id));
      expect(pieces.join('') + assembler.flush()).toBe(text.toWellFormed());
    }),
  );
});

test('every id fits the vocabulary and a signed 32-bit integer', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(encode(text).every((id) => id >= 0 && id < VOCABULARY_SIZE)).toBe(true);
    }),
  );
  expect(VOCABULARY_SIZE).toBeLessThan(2 ** 31);
});

test('any list of ids decodes to some text', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(VOCABULARY_SIZE - 1)), (ids) => {
      expect(decode(ids).isWellFormed()).toBe(true);
    }),
  );
});

test('a text cut between two tokens encodes to the same ids', () => {
  const ids = encode('The understanding reader answers 1024 questions, near the café.');
  for (let cut = 0; cut <= ids.length; cut += 1) {
    expect(encode(decode(ids.slice(0, cut)))).toEqual(ids.slice(0, cut));
  }
});

test('English takes about four characters per token', () => {
  const text =
    'A queue in front of the engine keeps waiting work where it can be reordered, cancelled cheaply or moved to another machine.';
  const charsPerToken = text.length / encode(text).length;
  expect(charsPerToken).toBeGreaterThan(3.5);
  expect(charsPerToken).toBeLessThan(5.5);
});

test('the markers of the chat template are single tokens', () => {
  expect(encode('<|im_start|>')).toHaveLength(1);
  expect(decode(encode('a<|im_end|>b'))).toBe('a<|im_end|>b');
});
