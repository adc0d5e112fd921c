/**
 * Where the lines of an input file stand, and the tier that each is planned for. It is made when the
 * batch is validated, so that nobody reads the file from its beginning again.
 *
 * Stored as a line of JSON, then for each line of the file its offset (6 bytes), length (4) and tier
 * (1), then the SHA-256 of all before.
 */
import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { FileStore } from '@qarr/file-store';
import { z } from 'zod';
import { PlainError } from './plain-error.ts';

/** Of a line that needs no tier: what is wrong in its body is its outcome. */
export const NO_TIER = '';

export interface LineIndex {
  /** Lines that are not blank. */
  readonly total: number;
  /** In bytes, without its end. */
  placeOf(line: number): { readonly start: number; readonly bytes: number };
  /** The name of a tier, or `NO_TIER`. */
  planOf(line: number): string;
  encoded(): Uint8Array;
}

export interface LineIndexBuilder {
  add(line: { start: number; bytes: number; tier: string }): void;
  build(): LineIndex;
}

const ENTRY_BYTES = 11;
const [LENGTH_AT, TIER_AT] = [6, 10];
const DIGEST_BYTES = 32;
/** The entries of a file with fewer lines fit without growing. */
const LINES_FIRST = 1_024;
/** A tier takes a byte. */
const TIERS_MAX = 256;
/** Of 50,000 lines it has 550 KB; more is no index that was written here. */
const INDEX_BYTES_MAX = 64 * 1_048_576;

const headSchema = z.object({
  version: z.literal(1),
  total: z.int().nonnegative(),
  tiers: z.array(z.string()).max(TIERS_MAX),
});

export function createLineIndexBuilder(): LineIndexBuilder {
  const tiers: string[] = [];
  let entries = Buffer.alloc(LINES_FIRST * ENTRY_BYTES);
  let total = 0;

  function tierNumber(tier: string): number {
    const known = tiers.indexOf(tier);
    if (known !== -1) return known;
    if (tiers.length === TIERS_MAX) throw new PlainError('Too many tiers for an index');
    return tiers.push(tier) - 1;
  }

  return {
    add({ start, bytes, tier }) {
      const at = total * ENTRY_BYTES;
      if (at === entries.length) entries = Buffer.concat([entries, Buffer.alloc(entries.length)]);
      entries.writeUIntLE(start, at, LENGTH_AT);
      entries.writeUInt32LE(bytes, at + LENGTH_AT);
      entries.writeUInt8(tierNumber(tier), at + TIER_AT);
      total += 1;
    },
    build: () => indexOf(tiers, entries.subarray(0, total * ENTRY_BYTES)),
  };
}

/** Null where it is damaged: it can be made again of the input file. */
export function decodeLineIndex(encoded: Uint8Array): LineIndex | null {
  const bytes = Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  const content = bytes.subarray(0, -DIGEST_BYTES);
  if (!digestOf(content).equals(bytes.subarray(-DIGEST_BYTES))) return null;
  const headEnd = content.indexOf('\n');
  const head = headSchema.safeParse(jsonOf(content.toString('utf8', 0, Math.max(0, headEnd))));
  const entries = content.subarray(headEnd + 1);
  if (!head.success || entries.length !== head.data.total * ENTRY_BYTES) return null;
  return indexOf(head.data.tiers, entries);
}

export function lineIndexName(batchId: string): string {
  return `batches/${batchId}/index`;
}

export async function writeLineIndex(
  store: Pick<FileStore, 'write'>,
  { batchId, index, signal }: { batchId: string; index: LineIndex; signal?: AbortSignal },
): Promise<void> {
  const encoded = index.encoded();
  await store.write(lineIndexName(batchId), once(encoded), {
    bytesMax: encoded.byteLength,
    signal,
  });
}

/** Null where there is none, or it is damaged. */
export async function readLineIndex(
  store: Pick<FileStore, 'read'>,
  batchId: string,
): Promise<LineIndex | null> {
  const stored = await store.read(lineIndexName(batchId));
  if (stored === null) return null;
  if (stored.bytes > INDEX_BYTES_MAX) {
    stored.content.destroy();
    return null;
  }
  return decodeLineIndex(await buffer(stored.content));
}

function indexOf(tiers: readonly string[], entries: Buffer): LineIndex {
  const total = entries.length / ENTRY_BYTES;
  return {
    total,
    placeOf(line) {
      const at = line * ENTRY_BYTES;
      return {
        start: entries.readUIntLE(at, LENGTH_AT),
        bytes: entries.readUInt32LE(at + LENGTH_AT),
      };
    },
    planOf: (line) => tiers[entries.readUInt8(line * ENTRY_BYTES + TIER_AT)] ?? NO_TIER,
    encoded() {
      const head = Buffer.from(`${JSON.stringify({ version: 1, total, tiers })}\n`);
      const content = Buffer.concat([head, entries]);
      return Buffer.concat([content, digestOf(content)]);
    },
  };
}

function digestOf(content: Uint8Array): Buffer {
  return createHash('sha256').update(content).digest();
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Nothing that was written here, which the caller says.
    return null;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
