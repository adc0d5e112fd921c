import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode, END_OF_TEXT_ID } from '../tokenizer.ts';
import { createWriter } from './writer.ts';

function write(options: {
  prefix: readonly number[];
  tokens: number;
  seed?: number;
  mayEnd?: boolean;
}): number[] {
  const writer = createWriter({ seeds: [options.seed ?? 0] });
  for (const id of options.prefix) writer.read(id);
  const ids: number[] = [];
  while (ids.length < options.tokens && ids.at(-1) !== END_OF_TEXT_ID) {
    const id = writer.next({ mayEnd: options.mayEnd ?? true });
    writer.read(id);
    ids.push(id);
  }
  return ids;
}

const prompt = fc.string({ unit: 'grapheme', maxLength: 40 }).map(encode);

test('the same seed and prompt give the same text', () => {
  const prefix = encode('Tell me about rivers.');
  expect(write({ prefix, tokens: 300 })).toEqual(write({ prefix, tokens: 300 }));
});

test('seed and prompt both change the text', () => {
  const options = { prefix: encode('Tell me about rivers.'), tokens: 30, mayEnd: false };
  expect(write({ ...options, seed: 1 })).not.toEqual(write(options));
  expect(write({ ...options, prefix: encode('Tell me about bridges.') })).not.toEqual(
    write(options),
  );
});

test('prompt and generated ids continue exactly where the text was cut', () => {
  fc.assert(
    fc.property(prompt, fc.nat(200), fc.boolean(), (prefix, cut, mayEnd) => {
      const whole = write({ prefix, tokens: 250, mayEnd });
      const head = whole.slice(0, cut);
      if (head.at(-1) === END_OF_TEXT_ID) return;
      const tail = write({ prefix: [...prefix, ...head], tokens: 250 - head.length, mayEnd });
      expect([...head, ...tail]).toEqual(whole);
    }),
  );
});

test('the text encodes to the ids it was generated as', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const ids = write({ prefix: encode('<|im_start|>assistant\n'), tokens: 5000, seed });
      expect(encode(decode(ids))).toEqual(ids);
    }),
  );
});

test('the text goes on the same way wherever it was cut and however it is tokenized', () => {
  fc.assert(
    fc.property(prompt, fc.nat(), fc.nat(), (prefix, seed, at) => {
      // The limit may fall inside a character.
      const whole = decode(write({ prefix, tokens: 120, seed, mayEnd: false })).replace(
        /\ufffd$/,
        '',
      );
      const cut = Array.from(whole)
        .slice(0, at % whole.length)
        .join('');
      const tail = write({ prefix: [...prefix, ...encode(cut)], tokens: 120, seed, mayEnd: false });
      expect((cut + decode(tail)).slice(0, whole.length)).toBe(whole);
    }),
  );
});

test('most texts end after 40 to 200 tokens', () => {
  const lengths = Array.from({ length: 400 }, (_, seed) =>
    write({ prefix: encode('Hello'), tokens: 5000, seed }),
  ).map((ids) => ids.length);
  const usual = lengths.filter((length) => length >= 40 && length <= 200);
  expect(usual.length).toBeGreaterThan(lengths.length * 0.6);
});

test('a new turn begins with a whole text, however long the one before it was', () => {
  const hello = encode('Hello');
  const lengths = Array.from({ length: 200 }, (_, seed) => {
    const before = write({ prefix: hello, tokens: 400, seed, mayEnd: false });
    return write({ prefix: [...hello, ...before, ...encode('?\n')], tokens: 300, seed }).length;
  });
  expect(lengths.filter((length) => length >= 40).length).toBeGreaterThan(lengths.length * 0.6);
});

test('a text that may not end goes on', () => {
  const ids = write({ prefix: encode('Hello'), tokens: 3000, mayEnd: false });
  expect(ids).toHaveLength(3000);
  expect(ids).not.toContain(END_OF_TEXT_ID);
});
