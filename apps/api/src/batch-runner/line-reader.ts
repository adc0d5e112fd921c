/**
 * Reads lines of an input file by its index.
 *
 * The file is read in blocks, the next one ahead, and the last blocks are kept: each tier has its own
 * place in the file and takes the lines between which others take theirs. A block that is being read is
 * waited for by all who need it.
 */
import { buffer } from 'node:stream/consumers';
import type { FileStore } from '@qarr/file-store';
import { QarrError } from '@qarr/router-core';
import type { LineIndex } from './line-index.ts';
import { decodeUtf8 } from './split-lines.ts';

const BLOCK_BYTES = 262_144;
/** The block that it reads and the next one, of three tiers and one more who looks something up. */
const BLOCKS_MAX = 8;

export interface LineReader {
  /**
   * The text of a line. Throws `file_not_found` where the file is gone or is not the one that was
   * indexed, and what the store throws.
   */
  read(line: number): Promise<string>;
}

export function createLineReader({
  store,
  name,
  index,
  blockBytes = BLOCK_BYTES,
  blocksMax = BLOCKS_MAX,
}: {
  store: Pick<FileStore, 'read'>;
  /** Of the input file in the store. */
  name: string;
  index: LineIndex;
  blockBytes?: number;
  blocksMax?: number;
}): LineReader {
  /** By number, the one that was used last at the end. */
  const blocks = new Map<number, Promise<Uint8Array>>();
  /** Of the file; known after the first read. */
  let fileBytes = Number.POSITIVE_INFINITY;

  async function readRange(start: number, end: number): Promise<Uint8Array> {
    const stored = await store.read(name, { start, end });
    if (stored === null) throw new QarrError('file_not_found');
    fileBytes = stored.bytes;
    return buffer(stored.content);
  }

  function block(number: number): Promise<Uint8Array> {
    const known = blocks.get(number);
    const reading = known ?? readRange(number * blockBytes, (number + 1) * blockBytes);
    blocks.delete(number);
    blocks.set(number, reading);
    if (known === undefined) {
      reading.catch(() => {
        // What was not read is read again by whoever needs it next.
        if (blocks.get(number) === reading) blocks.delete(number);
      });
      const [oldest] = blocks.keys();
      if (blocks.size > blocksMax && oldest !== undefined) blocks.delete(oldest);
    }
    return reading;
  }

  async function fromBlocks(start: number, end: number): Promise<Uint8Array> {
    const [first, last] = [Math.floor(start / blockBytes), Math.floor((end - 1) / blockBytes)];
    const parts: Promise<Uint8Array>[] = [];
    for (let number = first; number <= last; number += 1) parts.push(block(number));
    const found = Buffer.concat(await Promise.all(parts));
    // Nobody waits for it now; whoever does later is told what went wrong.
    if ((last + 1) * blockBytes < fileBytes) void block(last + 1);
    return found.subarray(start - first * blockBytes, end - first * blockBytes);
  }

  return {
    async read(line) {
      const { start, bytes } = index.placeOf(line);
      const end = start + bytes;
      // Of a line that is larger than a block, the others would be driven out.
      const found = await (bytes > blockBytes ? readRange(start, end) : fromBlocks(start, end));
      const text = found.length === bytes ? decodeUtf8(found) : null;
      if (text === null) throw new QarrError('file_not_found');
      return text;
    },
  };
}
