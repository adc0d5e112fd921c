import { setImmediate as nextTurn } from 'node:timers/promises';
import { type EventStream, frameEvent } from '../../http/event-stream.ts';
import { decorate } from './decorate.ts';
import { createSerial, type Serial } from './serial.ts';
import type { StreamFaults } from './stream-fault.ts';

/** Large enough to hold the end of one event and the beginning of the next. */
const SLICE_BYTES_MAX = 64;

/** The same bytes in other writes. */
export const WRITES: StreamFaults<'slice' | 'split_utf8'> = {
  slice(inner, params, { random, took }) {
    const bytesPerSlice = () => params.bytes || 1 + Math.floor(random() * SLICE_BYTES_MAX);
    return cutUp(inner, (bytes) => {
      took();
      return cutAt(bytes, sliceEnds(bytes.length, bytesPerSlice));
    });
  },

  split_utf8: (inner, _params, injection) =>
    cutUp(inner, (bytes) => {
      const ends = [...bytes.keys()].filter((index) => isContinuation(bytes[index]));
      if (ends.length > 0) injection.took();
      return cutAt(bytes, ends);
    }),
};

/** Each piece is a chunk, and leaves in a turn of its own: with Nagle off, a segment of its own. */
export function writeApart(options: {
  serial: Serial;
  stream: EventStream;
  pieces: readonly (string | Buffer)[];
}): void {
  options.serial.push(async (signal) => {
    for (const piece of options.pieces) {
      if (signal.aborted) return;
      options.stream.write(piece);
      await nextTurn();
    }
  });
}

function cutUp(inner: EventStream, cut: (bytes: Buffer) => readonly Buffer[]): EventStream {
  const serial = createSerial(inner);
  return decorate(inner, {
    send: (data) =>
      writeApart({ serial, stream: inner, pieces: cut(Buffer.from(frameEvent(data))) }),
    end: () => serial.push(inner.end),
  });
}

function* sliceEnds(length: number, bytesPerSlice: () => number): Generator<number> {
  for (let end = bytesPerSlice(); end < length; end += bytesPerSlice()) yield end;
}

function cutAt(bytes: Buffer, ends: Iterable<number>): Buffer[] {
  const pieces: Buffer[] = [];
  let start = 0;
  for (const end of ends) {
    pieces.push(bytes.subarray(start, end));
    start = end;
  }
  return [...pieces, bytes.subarray(start)];
}

/** A byte of UTF-8 that is not the first of its character. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000;
}
