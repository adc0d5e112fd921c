/** Uploads, downloads and batches against servers that break off, refuse and lose answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, test, vi } from 'vitest';
import { QarrClientError } from './errors.ts';
import { clientOf, failureOf, json, refuse } from './server-for-test.ts';

// A busy machine is no failure.
vi.setConfig({ testTimeout: 30_000 });

const FILE = { id: 'file-1', object: 'file', bytes: 10 };
const CONTENT = '0123456789';
const soon = { 'retry-after-ms': '1' };

const created = (response: ServerResponse) => json(response, 200, FILE);

const batch = (status: string) => (response: ServerResponse) =>
  json(response, 200, { id: 'batch_1', status });

/** The whole of what is asked for, or what comes before it breaks off. */
function content(response: ServerResponse, { headers }: IncomingMessage, breaksAfter = 10): void {
  const from = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from === 0 ? 200 : 206, { 'content-length': String(10 - from) });
  const part = CONTENT.slice(from, from + breaksAfter);
  response.write(part, () => (from + part.length < 10 ? response.destroy() : response.end()));
}

async function textOf(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

test('an upload is a form whose file comes last, with its name', async () => {
  const bodies: string[] = [];
  const { client, requests } = await clientOf([
    (response, request) => {
      request.on('data', (bytes: Buffer) => bodies.push(bytes.toString()));
      request.once('end', () => created(response));
    },
  ]);
  const file = new File(['{"a":1}\n'], 'mine.jsonl');
  const expiry = { anchor: 'created_at', seconds: 3600 } as const;
  expect(await client.files.create({ file, expires_after: expiry })).toEqual(FILE);
  expect(requests[0]?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
  const names = [...bodies.join('').matchAll(/ name="([^"]+)"/g)].map(([, name]) => name);
  expect(names).toEqual(['purpose', 'expires_after[anchor]', 'expires_after[seconds]', 'file']);
  expect(bodies.join('')).toContain('filename="mine.jsonl"');
  expect(bodies.join('')).toContain('\r\n\r\n{"a":1}\n\r\n');
});

test('an upload is sent again when it was refused, and not when nobody knows', async () => {
  const file = new Blob(['x']);
  const refused = await clientOf([
    (response) => refuse(response, 503, 'files_unavailable', soon),
    created,
  ]);
  expect(await refused.client.files.create({ file })).toEqual(FILE);

  const lost = await clientOf([(response) => response.destroy(), created]);
  expect(await failureOf(lost.client.files.create({ file }))).toMatchObject({
    code: 'network_error',
    retryable: true,
  });
  expect(lost.requests).toHaveLength(1);

  const proxied = await clientOf([(response) => response.writeHead(502).end('bad'), created]);
  expect(await failureOf(proxied.client.files.create({ file }))).toMatchObject({ status: 502 });
  expect(proxied.requests).toHaveLength(1);
});

test('a download that breaks goes on where it was, to the last byte', async () => {
  const { client, requests } = await clientOf([
    (response) => json(response, 200, FILE),
    (response, request) => content(response, request, 4),
    (response) => refuse(response, 503, 'files_unavailable', soon),
    (response, request) => content(response, request, 3),
    content,
  ]);
  expect(await textOf(client.files.content('file-1'))).toBe(CONTENT);
  const asked = requests.map(({ url, headers }) => [url, headers.range]);
  const path = '/v1/files/file-1/content';
  expect(asked).toEqual([
    ['/v1/files/file-1', undefined],
    [path, undefined],
    [path, 'bytes=4-'],
    [path, 'bytes=4-'],
    [path, 'bytes=7-'],
  ]);
});

test('a download begins where it is told to, also where that is not understood', async () => {
  const { client } = await clientOf([(response) => response.end(CONTENT)]);
  expect(await textOf(client.files.content(FILE, { start: 6 }))).toBe('6789');
  expect(await textOf(client.files.content(FILE, { start: 10 }))).toBe('');
  const tooFar = textOf(client.files.content(FILE, { start: 11 }));
  expect(await failureOf(tooFar)).toMatchObject({ code: 'invalid_option' });
});

test.each<[string, (response: ServerResponse) => void, object]>([
  [
    'is longer than its file',
    (response) => response.end(`${CONTENT}!`),
    { code: 'bad_answer', retryable: false },
  ],
  [
    'ends too early each time',
    (response) => response.end('01234'),
    { code: 'network_error', retryable: true },
  ],
  ['is gone', (response) => refuse(response, 404, 'file_not_found'), { code: 'file_not_found' }],
])('a download that %s is an error', async (_name, answer, problem) => {
  const { client } = await clientOf([answer], { reconnectsMax: 0 });
  expect(await failureOf(textOf(client.files.content(FILE)))).toMatchObject(problem);
});

test('a download ends when its reader gives up, and when nothing comes', async () => {
  const { client } = await clientOf([(response) => response.write('01')], {
    reconnectsMax: 0,
    silenceMs: 50,
  });
  expect(await failureOf(textOf(client.files.content(FILE)))).toMatchObject({ code: 'timeout' });
  const giving = new AbortController();
  const chunks = client.files.content(FILE, { signal: giving.signal });
  await chunks.next();
  giving.abort();
  const next = chunks.next().catch((error: unknown) => error);
  expect(await next).toBeInstanceOf(QarrClientError);
});

test('a batch is made once, however often it is sent, and waited for until it is over', async () => {
  const { client, requests } = await clientOf([
    (response) => response.destroy(),
    batch('validating'),
    batch('in_progress'),
    batch('expired'),
  ]);
  const made = await client.batches.create({
    input_file_id: 'file-1',
    endpoint: '/v1/chat/completions',
  });
  const keys = requests.map(({ headers }) => headers['idempotency-key']);
  expect(keys).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), keys[0]]);
  expect(await client.batches.wait(made)).toMatchObject({ status: 'expired' });
  expect(requests).toHaveLength(4);
});

test('pages are asked for by what was told, and by nothing else', async () => {
  const { client, requests } = await clientOf([(response) => json(response, 200, {})]);
  await client.batches.results('batch/1', { after: '7', limit: undefined });
  await client.batches.list();
  await client.files.list({ purpose: 'batch', limit: 5, after: 'a&b' });
  await client.files.delete('file-1');
  await client.batches.cancel({ id: 'batch_1' });
  expect(requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    'GET /v1/batches/batch%2F1/results?after=7',
    'GET /v1/batches',
    'GET /v1/files?purpose=batch&limit=5&after=a%26b',
    'DELETE /v1/files/file-1',
    'POST /v1/batches/batch_1/cancel',
  ]);
});
