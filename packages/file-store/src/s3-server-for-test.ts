/**
 * A store that speaks what is needed of S3, and fails when it is told to. `npm run s3-check` shows
 * that real ones say the same.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { S3StoreOptions } from './s3-store.ts';

/** What becomes of a request in place of its answer. */
type Fault =
  | 'hang'
  | 'cut'
  | 'lose the answer'
  | 'stop in the middle'
  | 'forget the upload'
  | 'fail with 200'
  | 500
  | 503
  | 507;

export interface S3Server {
  readonly options: S3StoreOptions;
  readonly objects: ReadonlyMap<string, Buffer>;
  /** By id, of those that are not over. */
  readonly uploads: ReadonlyMap<string, { key: string; beganAtMs: number }>;
  /** Requests that have come so far, such as `PUT`. */
  readonly requests: readonly string[];
  /** The next requests for which this says so fail. */
  fail(fault: Fault, options: { times: number; when: (request: string) => boolean }): void;
  age(ms: number): void;
  stop(): Promise<void>;
}

interface Upload {
  readonly key: string;
  beganAtMs: number;
  readonly parts: Map<number, Buffer>;
  readonly metadata: Record<string, string>;
}

const BUCKET = 'bucket';
const PAGE = 2;

export async function startS3Server(): Promise<S3Server> {
  const objects = new Map<string, Buffer>();
  /** What is said of each object. */
  const metadata = new Map<string, Record<string, string>>();
  const uploads = new Map<string, Upload>();
  const requests: string[] = [];
  const faults: { fault: Fault; times: number; when: (request: string) => boolean }[] = [];

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const query = Object.fromEntries(url.searchParams);
    const key = url.pathname.slice(BUCKET.length + 2);
    const named = `${request.method} ${key} ${Object.keys(query).join(' ')}`.trim();
    requests.push(named);
    const due = faults.find(({ times, when }) => times > 0 && when(named));
    if (due !== undefined) due.times -= 1;
    const body = await bodyOf(request);
    if (due?.fault === 'hang') return;
    if (due?.fault === 'cut') return void request.socket.destroy();
    if (typeof due?.fault === 'number') return send(response, due.fault, xmlError('InternalError'));
    const isWhole = sha256(body) === request.headers['x-amz-content-sha256'];
    const isSigned = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=key/');
    if (!isWhole || !isSigned) return send(response, 403, xmlError('SignatureDoesNotMatch'));
    if (due?.fault === 'fail with 200') return send(response, 200, xmlError('InternalError'));
    if (due?.fault === 'stop in the middle') {
      const object = objects.get(key) ?? Buffer.alloc(2);
      response.writeHead(200, { 'content-length': object.length });
      return void response.write(object.subarray(1));
    }
    if (due?.fault === 'forget the upload') uploads.delete(query['uploadId'] ?? '');
    const lost = due?.fault === 'lose the answer';
    act({ request, response: lost ? null : response, key, query, body });
    if (lost) request.socket.destroy();
  }

  function act({
    request: { method, headers },
    response,
    key,
    query,
    body,
  }: {
    request: IncomingMessage;
    response: ServerResponse | null;
    key: string;
    query: Record<string, string>;
    body: Buffer;
  }): void {
    const say = (status: number, text: string | Buffer = '', more: Record<string, string> = {}) => {
      if (response !== null) send(response, status, text, more);
    };
    const { uploadId = '' } = query;
    if (method === 'GET' && key === '') {
      say(200, query['uploads'] === undefined ? listed(query) : uploadsListed());
    } else if (method === 'POST' && query['uploads'] === '') {
      const id = randomUUID();
      const begun = { key, beganAtMs: Date.now(), parts: new Map(), metadata: metadataIn(headers) };
      uploads.set(id, begun);
      say(200, xml('InitiateMultipartUploadResult', tag('UploadId', id)));
    } else if (uploadId !== '' && !uploads.has(uploadId)) {
      say(404, xmlError('NoSuchUpload'));
    } else if (method === 'PUT' && uploadId !== '') {
      uploads.get(uploadId)?.parts.set(Number(query['partNumber']), body);
      say(200, '', { etag: `"${sha256(body)}"` });
    } else if (method === 'POST') {
      const parts = [...(uploads.get(uploadId)?.parts ?? [])].toSorted(([a], [b]) => a - b);
      objects.set(key, Buffer.concat(parts.map(([, part]) => part)));
      metadata.set(key, uploads.get(uploadId)?.metadata ?? {});
      uploads.delete(uploadId);
      say(200, xml('CompleteMultipartUploadResult', tag('ETag', '&quot;x-2&quot;')));
    } else if (method === 'DELETE') {
      if (uploadId === '') objects.delete(key);
      else uploads.delete(uploadId);
      say(204);
    } else if (method === 'PUT') {
      objects.set(key, body);
      metadata.set(key, metadataIn(headers));
      say(200, '', { etag: `"${sha256(body)}"` });
    } else {
      const object = objects.get(key);
      if (object === undefined) return say(404, xmlError('NoSuchKey'));
      const range = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '');
      if (range === null) return say(200, object, metadata.get(key));
      const start = Number(range[1]);
      if (start >= object.length) return say(416, xmlError('InvalidRange'));
      const end = range[2] === '' ? object.length : Math.min(object.length, Number(range[2]) + 1);
      const total = `bytes ${start}-${end - 1}/${object.length}`;
      say(206, object.subarray(start, end), { 'content-range': total });
    }
  }

  function listed(query: Record<string, string>): string {
    const from = Number(query['continuation-token'] ?? 0);
    const all = [...objects]
      .filter(([key]) => key.startsWith(query['prefix'] ?? ''))
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    const page = all
      .slice(from, from + PAGE)
      .map(([key, object]) =>
        tag(
          'Contents',
          tag('Key', key) +
            tag('Size', String(object.length)) +
            tag('LastModified', new Date().toISOString()),
        ),
      );
    const isCut = from + PAGE < all.length;
    const next = isCut ? tag('NextContinuationToken', String(from + PAGE)) : '';
    return xml('ListBucketResult', tag('IsTruncated', String(isCut)) + next + page.join(''));
  }

  function uploadsListed(): string {
    const all = [...uploads].map(([id, { key, beganAtMs }]) => {
      const began = new Date(beganAtMs).toISOString();
      return tag('Upload', tag('Key', key) + tag('UploadId', id) + tag('Initiated', began));
    });
    return xml('ListMultipartUploadsResult', tag('IsTruncated', 'false') + all.join(''));
  }

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    options: {
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: 'us-east-1',
      bucket: BUCKET,
      prefix: 'qarr/',
      credentials: { accessKeyId: 'key', secretAccessKey: 'secret' },
      isPathStyle: true,
      timeoutMs: 10_000,
    },
    objects,
    uploads,
    requests,
    fail: (fault, options) => void faults.push({ fault, ...options }),
    age(ms) {
      for (const upload of uploads.values()) upload.beganAtMs -= ms;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await request.toArray()).subarray();
}

function send(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function metadataIn(headers: IncomingHttpHeaders): Record<string, string> {
  const said = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'));
  return Object.fromEntries(said) as Record<string, string>;
}

function tag(name: string, content: string): string {
  return `<${name}>${content}</${name}>`;
}

function xml(name: string, content: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`;
}

function xmlError(code: string): string {
  return `<?xml version="1.0"?><Error>${tag('Code', code)}${tag('Message', 'secret')}</Error>`;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
