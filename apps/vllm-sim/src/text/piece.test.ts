import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { encode, tokenBytes } from '../tokenizer.ts';
import { createPiece, tokenAt } from './piece.ts';

const text = fc.oneof(
  fc.constantFrom('naïve', ' experiment', '1024', ' 🙂'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
);

test('a piece is written in its usual tokens', () => {
  fc.assert(
    fc.property(text, (each) => {
      const piece = createPiece(each);
      const ids: number[] = [];
      let at = 0;
      while (at < piece.bytes.length) {
        const id = tokenAt(piece, at);
        ids.push(id);
        at += tokenBytes(id).length;
      }
      expect(ids).toEqual(encode(each));
    }),
  );
});

test('a piece broken off at any byte is completed byte for byte', () => {
  fc.assert(
    fc.property(text, fc.nat(), (each, from) => {
      const piece = createPiece(each);
      let at = from % piece.bytes.length;
      const rest = [...piece.bytes.subarray(at)];
      const bytes: number[] = [];
      while (at < piece.bytes.length) {
        const token = tokenBytes(tokenAt(piece, at));
        bytes.push(...token);
        at += token.length;
      }
      expect(bytes).toEqual(rest);
    }),
  );
});
