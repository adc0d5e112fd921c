/**
 * Files in a bucket of an S3-compatible store, by Amazon's SDK. What fits into one part is written at
 * once; what does not, part by part as it comes, so that little of it is in memory. An object appears
 * when its last request succeeds, and as a whole.
 */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import type { FileStore } from './file-store.ts';
import { createIncoming } from './incoming.ts';
import { checkName, checkPrefix } from './names.ts';
import { openS3 } from './s3-client.ts';
import type { S3Options } from './s3-client.ts';
import { isMissing, nameOf, orProblem, problemOf } from './s3-problem.ts';

/** S3 takes no smaller parts than this but the last; some three of them are in memory of a write. */
const PART_BYTES = 5_242_880;
/** Of one upload, by the rules of S3. */
const PARTS_MAX = 10_000;
/** Says of an object by which write it came. */
const WRITE = 'qarr-write';

interface UploadsFrom {
  KeyMarker?: string | undefined;
  UploadIdMarker?: string | undefined;
}

export interface S3StoreOptions extends S3Options {
  readonly bucket: string;
  /** What all keys begin with; it may be empty. */
  readonly prefix: string;
}

export function createS3Store({ prefix, bucket: Bucket, ...options }: S3StoreOptions): FileStore {
  let opening: ReturnType<typeof openS3> | null = null;
  const open = () => (opening ??= openS3(options));

  function objectOf(name: string) {
    checkName(name);
    return { Bucket, Key: prefix + name };
  }

  /** Null where there is none. */
  async function head(object: { Bucket: string; Key: string }) {
    const { sdk, client } = await open();
    try {
      return await client.send(new sdk.HeadObjectCommand(object));
    } catch (error) {
      if (isMissing(error)) return null;
      throw problemOf(error);
    }
  }

  return {
    async check() {
      const { sdk, client } = await open();
      const object = objectOf(`check-${randomUUID()}`);
      await orProblem(client.send(new sdk.PutObjectCommand({ ...object, Body: Buffer.alloc(1) })));
      await orProblem(client.send(new sdk.DeleteObjectCommand(object)));
    },

    async write(name, content, { bytesMax, signal }) {
      const object = objectOf(name);
      const { Upload, clientUntil } = await open();
      const incoming = createIncoming(content, { bytesMax, signal });
      let failure: { readonly error: unknown } | null = null;
      async function* source() {
        try {
          yield* incoming;
        } catch (error) {
          failure = { error };
          throw error;
        }
      }
      const id = randomUUID();
      const upload = new Upload({
        client: clientUntil(signal),
        params: {
          ...object,
          Body: Readable.from(source(), { objectMode: false }),
          Metadata: { [WRITE]: id },
        },
        partSize: Math.max(PART_BYTES, Math.ceil(bytesMax / PARTS_MAX)),
        queueSize: 1,
        leavePartsOnError: false,
      });
      try {
        await upload.done();
      } catch (error) {
        // Whatever came of aborting the upload: what cannot be removed now is found by `tidy`.
        if (failure !== null) throw (failure as { error: unknown }).error;
        signal?.throwIfAborted();
        // It was complete, and the answer was lost: a second try finds nothing to complete.
        const isDone = nameOf(error) === 'NoSuchUpload' && (await head(object))?.Metadata?.[WRITE];
        if (isDone !== id) throw problemOf(error);
      }
      return incoming.written();
    },

    async read(name, { start, end } = { start: 0 }) {
      const object = objectOf(name);
      const { sdk, streaming } = await open();
      const nothing = async () => {
        const found = await head(object);
        return found === null ? null : { bytes: sizeIn(found), content: Readable.from([]) };
      };
      if (end !== undefined && end <= start) return nothing();
      const isAll = start === 0 && end === undefined;
      const range = isAll ? {} : { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` };
      try {
        const found = await streaming.send(new sdk.GetObjectCommand({ ...object, ...range }));
        const body = found.Body as Readable;
        const content = Readable.from(pieces(body, options.timeoutMs), { objectMode: false });
        // Also where nobody has begun to read.
        content.once('close', () => body.destroy());
        return { bytes: sizeIn(found), content };
      } catch (error) {
        if (isMissing(error)) return null;
        if (nameOf(error) === 'InvalidRange') return nothing();
        throw problemOf(error);
      }
    },

    async remove(name) {
      const object = objectOf(name);
      const { sdk, client } = await open();
      await orProblem(client.send(new sdk.DeleteObjectCommand(object)));
    },

    async *list(namePrefix) {
      checkPrefix(namePrefix);
      const { sdk, client } = await open();
      const search = { Bucket, Prefix: prefix + namePrefix };
      try {
        for await (const page of sdk.paginateListObjectsV2({ client }, search)) {
          for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
            const modifiedAtMs = LastModified?.getTime() ?? Date.now();
            yield { name: Key.slice(prefix.length), bytes: Size, modifiedAtMs };
          }
        }
      } catch (error) {
        throw problemOf(error);
      }
    },

    async room() {
      return null;
    },

    async tidy(olderThanMs) {
      const before = Date.now() - olderThanMs;
      const { sdk, client } = await open();
      for (let from: UploadsFrom | null = {}; from !== null;) {
        const search = { Bucket, Prefix: prefix, ...from };
        const page: ListMultipartUploadsCommandOutput = await orProblem(
          client.send(new sdk.ListMultipartUploadsCommand(search)),
        );
        for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
          if (Initiated === undefined || Initiated.getTime() >= before) continue;
          const upload = { Bucket, Key, UploadId };
          await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch((error: unknown) => {
            if (!isMissing(error)) throw problemOf(error);
          });
        }
        const { IsTruncated, NextKeyMarker: KeyMarker, NextUploadIdMarker: UploadIdMarker } = page;
        from = IsTruncated === true ? { KeyMarker, UploadIdMarker } : null;
      }
    },

    async stop() {
      if (opening !== null) (await opening).streaming.destroy();
    },
  };
}

/** A limit for each wait, not for all of them together: whoever reads may take its time. */
async function* pieces(body: Readable, timeoutMs: number): AsyncGenerator<Uint8Array> {
  const giveUp = () => body.destroy(new Error(`silent for ${timeoutMs} ms`));
  let timer = setTimeout(giveUp, timeoutMs);
  try {
    for await (const chunk of body) {
      clearTimeout(timer);
      yield chunk as Uint8Array;
      timer = setTimeout(giveUp, timeoutMs);
    }
  } catch (error) {
    throw problemOf(error);
  } finally {
    clearTimeout(timer);
  }
}

/** Of the whole object. */
function sizeIn(found: { ContentRange?: string | undefined; ContentLength?: number | undefined }) {
  const { ContentRange: range, ContentLength: length } = found;
  const size = range === undefined ? length : Number(/\/(\d+)$/.exec(range)?.[1]);
  if (size === undefined || Number.isNaN(size)) throw problemOf(new Error('no size'));
  return size;
}
