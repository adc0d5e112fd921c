import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLineSplitter } from './line-splitter.ts';
import type { RawLine } from './line-splitter.ts';

const LINE_BYTES_MAX = 24;
const MARK = [0xef, 0xbb, 0xbf];

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function split(file: Uint8Array, cuts: readonly number[]): RawLine[] {
  const splitter = createLineSplitter({ lineBytesMax: LINE_BYTES_MAX, decode });
  const at = [0, ...cuts.map((cut) => cut % (file.length + 1)), file.length];
  const places = at.toSorted((a, b) => a - b);
  const lines = places
    .slice(1)
    .flatMap((to, index) => splitter.push(file.slice(places[index], to)));
  return [...lines, ...splitter.end()];
}

/** The same with the whole file at hand. */
function naively(file: Uint8Array): RawLine[] {
  const lines: RawLine[] = [];
  const hasMark = MARK.every((byte, index) => file[index] === byte);
  let start = 0;
  for (let number = 1; start < file.length; number += 1) {
    const lf = file.indexOf(0x0a, start);
    const end = lf === -1 ? file.length : lf;
    const from = hasMark && number === 1 ? 3 : start;
    const to = end > from && file[end - 1] === 0x0d ? end - 1 : end;
    const at = { number, start: from, bytes: to - from };
    const text = decode(file.slice(from, to));
    if (to - from > LINE_BYTES_MAX) lines.push({ ...at, kind: 'line_too_long' });
    else
      lines.push(text === null ? { ...at, kind: 'invalid_utf8' } : { ...at, kind: 'text', text });
    start = end + 1;
  }
  return lines;
}

const piece = fc.oneof(
  fc.constantFrom('\n', '\r\n', '\r', '\n\n', 'a', '€', '😀', '\uFEFF', 'x'.repeat(23)),
  fc.string({ unit: 'grapheme', maxLength: 10 }),
);
const bytesOf = fc.oneof(
  { weight: 9, arbitrary: piece.map((text) => new TextEncoder().encode(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }) },
);
const files = fc
  .array(bytesOf, { maxLength: 20 })
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

/** A line that is kept as a count alone is not told from its CR. */
function shown(lines: readonly RawLine[]): RawLine[] {
  return lines.map((line) =>
    line.kind === 'line_too_long' ? { ...line, start: 0, bytes: 0 } : line,
  );
}

function kindsOf(text: string): string[] {
  return split(new TextEncoder().encode(text), [10]).map(({ kind }) => kind);
}

describe('a file in lines', () => {
  it('is the same however it is cut', () => {
    fc.assert(
      fc.property(
        files,
        fc.array(fc.nat(), { maxLength: 12 }),
        fc.boolean(),
        (rest, cuts, mark) => {
          const file = mark ? Uint8Array.from([...MARK, ...rest]) : rest;
          expect(shown(split(file, cuts))).toEqual(shown(naively(file)));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('has a line at the limit, and none of it beyond', () => {
    for (const end of ['', '\n', '\r\n']) {
      expect(kindsOf('x'.repeat(LINE_BYTES_MAX) + end)).toEqual(['text']);
      expect(kindsOf('x'.repeat(LINE_BYTES_MAX + 1) + end)).toEqual(['line_too_long']);
    }
    expect(kindsOf('x'.repeat(1_000) + '\nnext')).toEqual(['line_too_long', 'text']);
  });

  it('may be empty', () => {
    expect(split(new Uint8Array(), [])).toEqual([]);
  });
});
