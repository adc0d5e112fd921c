/** A file store in memory, whose reads come in pieces of any size. */
import { Readable } from 'node:stream';
import type { FileStore } from '@qarr/file-store';
import { createHash } from 'node:crypto';

export interface MemoryStore extends Pick<FileStore, 'read' | 'write' | 'remove'> {
  readonly objects: Map<string, Buffer>;
  /** `<name> <start>-<end>` of each read. */
  readonly reads: string[];
  /** The next so many reads fail. */
  failing: number;
}

export function createMemoryStore({ pieceBytes = 7 }: { pieceBytes?: number } = {}): MemoryStore {
  const objects = new Map<string, Buffer>();
  const reads: string[] = [];
  const store: MemoryStore = {
    objects,
    reads,
    failing: 0,
    async write(name, content, { bytesMax }) {
      const pieces: Uint8Array[] = [];
      for await (const piece of content) pieces.push(Buffer.from(piece));
      const whole = Buffer.concat(pieces);
      if (whole.length > bytesMax) throw new Error('too large');
      objects.set(name, whole);
      return { bytes: whole.length, sha256: createHash('sha256').update(whole).digest('hex') };
    },
    async read(name, { start = 0, end } = { start: 0 }) {
      reads.push(`${name} ${start}-${end}`);
      await Promise.resolve();
      store.failing -= 1;
      if (store.failing >= 0) throw new Error('The store fails');
      const whole = objects.get(name);
      if (whole === undefined) return null;
      const range = whole.subarray(start, end);
      return { bytes: whole.length, content: Readable.from(piecesOf(range, pieceBytes)) };
    },
    async remove(name) {
      objects.delete(name);
    },
  };
  return store;
}

export function* piecesOf(bytes: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
