/**
 * Files in a bucket of an S3-compatible store. What fits into one part is written at once; what does
 * not, part by part as it comes, so that no more than a part is in memory. An object appears when its
 * last request succeeds, and as a whole.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FileStore } from './file-store.ts';
import { createIncoming } from './incoming.ts';
import { checkName, checkPrefix } from './names.ts';
import { createS3Client } from './s3-client.ts';
import type { S3Client, S3Options, Upload } from './s3-client.ts';

/** Some stores take no smaller parts than 5 MiB; each costs a round trip. */
const PART_BYTES = 8_388_608;
/** Of one upload, by the rules of S3. */
const PARTS_MAX = 10_000;

export interface S3StoreOptions extends S3Options {
  /** What all keys begin with; it may be empty. */
  readonly prefix: string;
  /** So much is in memory of each write. */
  readonly partBytes?: number | undefined;
}

export function createS3Store({
  prefix,
  partBytes = PART_BYTES,
  ...options
}: S3StoreOptions): FileStore {
  const client = createS3Client(options);

  function keyOf(name: string): string {
    checkName(name);
    return prefix + name;
  }

  return {
    async check() {
      const key = keyOf(`check-${randomUUID()}`);
      await client.put(key, Buffer.alloc(1), undefined);
      await client.remove(key);
    },

    async write(name, content, writing) {
      const key = keyOf(name);
      const incoming = createIncoming(content, writing);
      const bytes = Math.max(partBytes, Math.ceil(writing.bytesMax / PARTS_MAX));
      const parts = inParts(incoming, Math.min(bytes, Math.max(1, writing.bytesMax)));
      await writeParts(client, { key, parts, signal: writing.signal });
      return incoming.written();
    },

    async read(name, { start, end } = { start: 0 }) {
      const key = keyOf(name);
      if (end !== undefined && end <= start) {
        const bytes = await client.head(key);
        return bytes === null ? null : { bytes, content: Readable.from([]) };
      }
      const isAll = start === 0 && end === undefined;
      const last = end === undefined ? null : end - 1;
      const found = await client.get(key, isAll ? null : { first: start, last });
      if (found === null) return null;
      const { bytes, body } = found;
      return { bytes, content: Readable.from(body ?? [], { objectMode: false }) };
    },

    async remove(name) {
      await client.remove(keyOf(name));
    },

    async *list(namePrefix) {
      checkPrefix(namePrefix);
      for await (const { key, ...rest } of client.list(prefix + namePrefix)) {
        yield { name: key.slice(prefix.length), ...rest };
      }
    },

    async room() {
      return null;
    },

    async tidy(olderThanMs) {
      const before = Date.now() - olderThanMs;
      for await (const upload of client.uploads(prefix)) {
        if (upload.beganAtMs < before) await client.abort(upload);
      }
    },

    async stop() {},
  };
}

interface Part {
  readonly content: Uint8Array;
  readonly isLast: boolean;
  /** Of all parts up to this one. */
  readonly bytes: number;
}

async function writeParts(
  client: S3Client,
  {
    key,
    parts,
    signal,
  }: { key: string; parts: AsyncIterable<Part>; signal: AbortSignal | undefined },
): Promise<void> {
  let upload: Upload | null = null;
  const etags: string[] = [];
  try {
    for await (const { content, isLast, bytes } of parts) {
      if (isLast && upload === null) return await client.put(key, content, signal);
      upload ??= await client.createUpload(key);
      etags.push(await client.putPart(upload, etags.length + 1, content, signal));
      if (isLast) await client.complete(upload, etags, bytes);
    }
  } catch (error) {
    // What cannot be removed now is found when it is tidied up.
    if (upload !== null) await client.abort(upload).catch(() => {});
    throw error;
  }
}

/** All parts but the last have this size, as some stores want it. Without content there is one. */
async function* inParts(
  content: AsyncIterable<Uint8Array>,
  partBytes: number,
): AsyncGenerator<Part> {
  let part = Buffer.allocUnsafe(partBytes);
  let filled = 0;
  let bytes = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.byteLength;) {
      if (filled === partBytes) {
        yield { content: part, isLast: false, bytes };
        // The former one may still be on its way.
        part = Buffer.allocUnsafe(partBytes);
        filled = 0;
      }
      const piece = chunk.subarray(at, at + partBytes - filled);
      part.set(piece, filled);
      filled += piece.byteLength;
      bytes += piece.byteLength;
      at += piece.byteLength;
    }
  }
  yield { content: part.subarray(0, filled), isLast: true, bytes };
}
