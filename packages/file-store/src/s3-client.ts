/**
 * The few requests to an S3-compatible store that are needed here. Each is signed with the hash of
 * what it sends, so that the store checks what has arrived; has a limit of time; and is tried again
 * a few times where that may help.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { AwsV4Signer } from 'aws4fetch';
import { FileStoreError } from './file-store.ts';
import { elementsIn, textIn } from './s3-xml.ts';

export interface S3Options {
  /** Without the bucket. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Whether the bucket is part of the path, not of the host name. */
  readonly isPathStyle: boolean;
  /** Until an answer begins, and between two pieces of one. */
  readonly timeoutMs: number;
  /** Before the second try; before each further one it is twice as long. */
  readonly pauseMs?: number | undefined;
}

export interface S3Client {
  put(key: string, content: Uint8Array, signal: AbortSignal | undefined): Promise<void>;
  /** Null where there is none. The range's end is part of it; null: all there is. */
  get(key: string, range: { first: number; last: number | null } | null): Promise<Found | null>;
  /** Its size; null where there is none. */
  head(key: string): Promise<number | null>;
  remove(key: string): Promise<void>;
  list(prefix: string): AsyncGenerator<{ key: string; bytes: number; modifiedAtMs: number }>;
  createUpload(key: string): Promise<Upload>;
  /** Returns what the part is called when all of them are put together. */
  putPart(
    upload: Upload,
    part: number,
    content: Uint8Array,
    signal: AbortSignal | undefined,
  ): Promise<string>;
  complete(upload: Upload, parts: readonly string[], bytes: number): Promise<void>;
  abort(upload: Upload): Promise<void>;
  /** Multipart uploads that are not over. */
  uploads(prefix: string): AsyncGenerator<Upload & { beganAtMs: number }>;
}

export interface Upload {
  readonly key: string;
  readonly id: string;
}

interface Found {
  /** Of the whole object. */
  readonly bytes: number;
  /** Null where the range is behind its end. */
  readonly body: AsyncIterable<Uint8Array> | null;
}

const TRIES_MAX = 4;
const PAUSE_MS = 200;
/** Of an answer that is not the content of an object. */
const ANSWER_BYTES_MAX = 4_194_304;
/** What the same request may get no more. */
const TRANSIENT: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const NO_ROOM = /^(?:XMinioStorageFull|QuotaExceeded|InsufficientStorage|EntityTooLarge)$/;

interface Call {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Statuses that are an answer, beside those of success. */
  readonly expected?: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

export function createS3Client(options: S3Options): S3Client {
  const { bucket, timeoutMs, pauseMs = PAUSE_MS } = options;
  const signing = {
    service: 's3',
    region: options.region,
    accessKeyId: options.accessKeyId,
    secretAccessKey: options.secretAccessKey,
    cache: new Map<string, ArrayBuffer>(),
  };

  function urlOf({ key = '', query = {} }: Pick<Call, 'key' | 'query'>): string {
    const url = new URL(options.endpoint);
    if (!options.isPathStyle) url.host = `${bucket}.${url.host}`;
    const base = url.pathname.replace(/\/$/, '');
    url.pathname = `${base}/${options.isPathStyle ? `${bucket}/` : ''}${key}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url.href;
  }

  async function tryOnce(call: Call): Promise<Answer> {
    const { method, body } = call;
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    const signer = new AwsV4Signer({
      ...signing,
      method,
      url: urlOf(call),
      headers: { ...call.headers, 'x-amz-content-sha256': hash },
    });
    const { url, headers } = await signer.sign();
    const patience = createPatience(timeoutMs, call.signal);
    const sent = body === undefined ? {} : { body };
    try {
      const init = { method, headers, signal: patience.signal, redirect: 'error' as const };
      const response = await patience.waitFor(fetch(url, { ...init, ...sent }));
      return { response, pieces: piecesOf(response, patience) };
    } catch (error) {
      patience.stop();
      throw error;
    }
  }

  /** The first answer that is one, or the last failure. */
  async function send(call: Call): Promise<Answer> {
    for (let tries = 1; ; tries += 1) {
      const answer = await tryOnce(call).catch((error: unknown) => unavailable(error));
      call.signal?.throwIfAborted();
      if (!(answer instanceof FileStoreError)) {
        const { response } = answer;
        if (response.ok || call.expected?.includes(response.status)) return answer;
        const text = await textOf(answer).catch(() => '');
        if (!TRANSIENT.has(response.status)) throw refusal(response.status, text);
        if (tries === TRIES_MAX) throw refusal(response.status, text);
      } else if (tries === TRIES_MAX) throw answer;
      // Not all at once again.
      await sleep(pauseMs * 2 ** (tries - 1) * (0.5 + Math.random()));
    }
  }

  async function* pages(
    call: (from: Record<string, string>) => Call,
    next: (xml: string) => Record<string, string>,
  ): AsyncGenerator<string> {
    for (let from: Record<string, string> = {}; ;) {
      const xml = await textOf(await send(call(from)));
      yield xml;
      if (textIn(xml, 'IsTruncated') !== 'true') return;
      from = next(xml);
    }
  }

  const client: S3Client = {
    async put(key, content, signal) {
      await drop(await send({ method: 'PUT', key, body: content, signal }));
    },

    async get(key, range) {
      const headers: Record<string, string> = {};
      if (range !== null) headers['range'] = `bytes=${range.first}-${range.last ?? ''}`;
      const answer = await send({ method: 'GET', key, headers, expected: [404, 416] });
      const { response, pieces } = answer;
      if (response.status === 404) {
        await drop(answer);
        return null;
      }
      if (response.status === 416) {
        await drop(answer);
        const bytes = await client.head(key);
        return bytes === null ? null : { bytes, body: null };
      }
      const isPart = response.status === 206;
      const total = isPart
        ? /\/(\d+)$/.exec(response.headers.get('content-range') ?? '')?.[1]
        : response.headers.get('content-length');
      if (total === null || total === undefined || isPart !== (range !== null)) {
        await drop(answer);
        throw unavailable(new Error('It does not say how large the object is.'));
      }
      return { bytes: Number(total), body: pieces };
    },

    async head(key) {
      const answer = await send({ method: 'HEAD', key, expected: [404] });
      await drop(answer);
      if (answer.response.status === 404) return null;
      return Number(answer.response.headers.get('content-length'));
    },

    async remove(key) {
      await drop(await send({ method: 'DELETE', key, expected: [404] }));
    },

    async *list(prefix) {
      const call = (from: Record<string, string>): Call => ({
        method: 'GET',
        query: { 'list-type': '2', prefix, ...from },
      });
      for await (const xml of pages(call, nextObjects)) {
        for (const element of elementsIn(xml, 'Contents')) {
          yield {
            key: textIn(element, 'Key') ?? '',
            bytes: Number(textIn(element, 'Size')),
            modifiedAtMs: Date.parse(textIn(element, 'LastModified') ?? ''),
          };
        }
      }
    },

    async createUpload(key) {
      const xml = await textOf(await send({ method: 'POST', key, query: { uploads: '' } }));
      const id = textIn(xml, 'UploadId');
      if (id === null) throw unavailable(new Error('It does not name the upload.'));
      return { key, id };
    },

    async putPart({ key, id }, part, content, signal) {
      const query = { partNumber: String(part), uploadId: id };
      const answer = await send({ method: 'PUT', key, query, body: content, signal });
      await drop(answer);
      const etag = answer.response.headers.get('etag');
      if (etag === null) throw unavailable(new Error('It does not name the part.'));
      return etag;
    },

    async complete({ key, id }, parts, bytes) {
      const list = parts.map(
        (etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${etag}</ETag></Part>`,
      );
      const body = Buffer.from(
        `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`,
      );
      const answer = await send({
        method: 'POST',
        key,
        query: { uploadId: id },
        headers: { 'content-type': 'application/xml' },
        body,
        expected: [404],
      });
      const xml = await textOf(answer);
      // It may fail after it has said that all is well; and a second try finds nothing to complete.
      if (answer.response.ok && textIn(xml, 'ETag') !== null && textIn(xml, 'Code') === null)
        return;
      if ((await client.head(key)) !== bytes) throw refusal(answer.response.status, xml);
    },

    async abort({ key, id }) {
      const query = { uploadId: id };
      await drop(await send({ method: 'DELETE', key, query, expected: [404] }));
    },

    async *uploads(prefix) {
      const call = (from: Record<string, string>): Call => ({
        method: 'GET',
        query: { uploads: '', prefix, ...from },
      });
      for await (const xml of pages(call, nextUploads)) {
        for (const element of elementsIn(xml, 'Upload')) {
          const key = textIn(element, 'Key') ?? '';
          const id = textIn(element, 'UploadId') ?? '';
          yield { key, id, beganAtMs: Date.parse(textIn(element, 'Initiated') ?? '') };
        }
      }
    },
  };
  return client;
}

function nextObjects(xml: string): Record<string, string> {
  return { 'continuation-token': textIn(xml, 'NextContinuationToken') ?? '' };
}

function nextUploads(xml: string): Record<string, string> {
  return {
    'key-marker': textIn(xml, 'NextKeyMarker') ?? '',
    'upload-id-marker': textIn(xml, 'NextUploadIdMarker') ?? '',
  };
}

interface Answer {
  readonly response: Response;
  readonly pieces: AsyncGenerator<Uint8Array>;
}

/** A limit for each wait, not for all of them together: whoever reads may take its time. */
interface Patience {
  readonly signal: AbortSignal;
  waitFor<Result>(promise: Promise<Result>): Promise<Result>;
  stop(): void;
}

function createPatience(ms: number, given: AbortSignal | undefined): Patience {
  const over = new AbortController();
  return {
    signal: given === undefined ? over.signal : AbortSignal.any([over.signal, given]),
    async waitFor(promise) {
      const timer = setTimeout(() => over.abort(new Error(`silent for ${ms} ms`)), ms);
      return promise.finally(() => clearTimeout(timer));
    },
    stop: () => over.abort(),
  };
}

async function* piecesOf(
  { body }: Response,
  patience: Patience,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body?.getReader();
  if (reader === undefined) return;
  try {
    while (true) {
      const { done, value } = await patience.waitFor(reader.read());
      if (done) return;
      yield value;
    }
  } catch (error) {
    throw unavailable(error);
  } finally {
    // Of what is not read to its end the rest is not fetched.
    patience.stop();
  }
}

async function textOf({ pieces }: Answer): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of pieces) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX) throw unavailable(new Error('It says too much.'));
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

async function drop(answer: Answer): Promise<void> {
  await textOf(answer);
}

function unavailable(cause: unknown): FileStoreError {
  if (cause instanceof FileStoreError) return cause;
  return new FileStoreError('unavailable', 'The file store does not answer.', { cause });
}

/** Its message may name keys: only the code is kept. */
function refusal(status: number, xml: string): FileStoreError {
  const code = textIn(xml, 'Code') ?? 'no code';
  if (status === 507 || NO_ROOM.test(code)) {
    return new FileStoreError('full', 'The file store has no room.');
  }
  return unavailable(new Error(`It answered ${status} (${code.slice(0, 64)}).`));
}
