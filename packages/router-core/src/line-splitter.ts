/**
 * Bytes of a file, in pieces as they come, as lines with their places in the file.
 *
 * Lines end with LF or CRLF, the last one with the file. A byte order mark at the beginning is no part
 * of the first line. What is longer than a line may be is counted, not kept.
 */

/** `start` and `bytes`: where the line stands in the file, without its end. `number` counts from 1. */
export type RawLine = {
  readonly number: number;
  readonly start: number;
  readonly bytes: number;
} & (
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'line_too_long' }
  | { readonly kind: 'invalid_utf8' }
);

export interface LineSplitter {
  /** The lines that end in this piece, which is kept until its last line has ended. */
  push(bytes: Uint8Array): RawLine[];
  /** The line that no line break has ended, if there is one. */
  end(): RawLine[];
}

const LF = 0x0a;
const CR = 0x0d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

export function createLineSplitter({
  lineBytesMax,
  decode,
}: {
  lineBytesMax: number;
  /** Null for what is not valid UTF-8. */
  decode: (bytes: Uint8Array) => string | null;
}): LineSplitter {
  /** Of the line that has not ended, while it is not too long. */
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  let start = 0;
  let number = 1;

  function keep(piece: Uint8Array): void {
    if (piece.length === 0) return;
    bytes += piece.length;
    // One more for the CR of a line break, three for the mark.
    if (bytes <= lineBytesMax + 4) pieces.push(piece);
    else pieces = [];
  }

  function take(breakBytes: number): RawLine {
    const line = lineOf();
    number += 1;
    start += bytes + breakBytes;
    pieces = [];
    bytes = 0;
    return line;
  }

  function lineOf(): RawLine {
    const at = { number, start, bytes };
    if (pieces.length === 0 && bytes > 0) return { kind: 'line_too_long', ...at };
    let line = joined(pieces, bytes);
    if (start === 0 && BYTE_ORDER_MARK.every((byte, index) => line[index] === byte)) {
      line = line.subarray(BYTE_ORDER_MARK.length);
      at.start = BYTE_ORDER_MARK.length;
    }
    if (line.at(-1) === CR) line = line.subarray(0, -1);
    at.bytes = line.length;
    if (line.length > lineBytesMax) return { kind: 'line_too_long', ...at };
    const text = decode(line);
    return text === null ? { kind: 'invalid_utf8', ...at } : { kind: 'text', text, ...at };
  }

  return {
    push(chunk) {
      const lines: RawLine[] = [];
      let from = 0;
      for (let to = chunk.indexOf(LF); to !== -1; to = chunk.indexOf(LF, from)) {
        keep(chunk.subarray(from, to));
        lines.push(take(1));
        from = to + 1;
      }
      keep(chunk.subarray(from));
      return lines;
    },
    end() {
      return bytes === 0 ? [] : [take(0)];
    },
  };
}

function joined(pieces: readonly Uint8Array[], bytes: number): Uint8Array {
  const [first, ...others] = pieces;
  if (first === undefined) return new Uint8Array();
  if (others.length === 0) return first;
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
