import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readlink } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { createFolderStore } from '@qarr/file-store';
import OpenAI, { toFile } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connectRaw, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld } from '../harness/api.ts';
import { KEY_SECRET, openKeys } from '../harness/api-keys.ts';
import type { TestKey, TestKeys } from '../harness/api-keys.ts';
import { FORM_END, FORM_TYPE, formOf, headOf } from '../harness/multipart.ts';
import type { FormPart } from '../harness/multipart.ts';
import { waitUntil } from '../harness/wait-until.ts';

const PURPOSE: FormPart = { name: 'purpose', value: 'batch' };
const FILE: FormPart = { name: 'file', filename: 'in.jsonl', content: '{"custom_id":"a"}\n' };
/** More than the system has room for between a reader that takes nothing and us. */
const FILE_BYTES_MAX = 12_000_000;
const BATCH_BYTES_MAX = 1_000_000;
const FILES_MAX = 12;

let world: ApiWorld;
let keys: TestKeys;
let key: TestKey;
let rival: TestKey;
beforeAll(async () => {
  world = await startApiWorld({
    QARR_KEY_SECRETS: KEY_SECRET,
    QARR_FILES_BYTES_MAX: String(FILE_BYTES_MAX),
    QARR_BATCH_FILE_BYTES_MAX: String(BATCH_BYTES_MAX),
    QARR_FILES_MAX: String(FILES_MAX),
    QARR_FILES_TOTAL_BYTES_MAX: String(1.5 * FILE_BYTES_MAX),
    QARR_FILES_FREE_PERCENT_MIN: '0',
    QARR_REQUEST_TIMEOUT_MS: '300',
    QARR_UPLOAD_IDLE_MS: '2000',
    QARR_READER_STUCK_MS: '1000',
    QARR_UPLOADS_MAX: '4',
  });
  keys = await openKeys(world.redisServer.url);
  rival = await keys.make({ owner: 'rival' });
});
afterAll(async () => {
  await keys.stop();
  await world.stop();
});

/** An owner without any files. */
async function newOwner(): Promise<OpenAI> {
  key = await keys.make({ owner: `owner-${randomBytes(8).toString('hex')}` });
  return clientFor(key);
}

function clientFor({ text }: TestKey, { url }: ApiProcess = world.api): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: text, maxRetries: 0 });
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { id: string; error?: { code: string; message: string; param: string | null } };
}

async function upload(
  body: Buffer | ReadableStream,
  { type = FORM_TYPE, path = '/v1/files', url = world.api.url } = {},
): Promise<Answer> {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { ...key.headers, 'content-type': type },
    body,
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
  });
  const { status, headers } = response;
  return { status, headers, body: (await response.json()) as Answer['body'] };
}

/** What lies in the folder, whole or not. */
async function stored(): Promise<string[]> {
  const folders = ['files', '.incoming'].map((name) => join(world.filesFolder, name));
  return (await Promise.all(folders.map((one) => readdir(one).catch(() => [])))).flat();
}

async function forgetAll(): Promise<void> {
  const openai = clientFor(key);
  for await (const { id } of openai.files.list()) await openai.files.delete(id);
}

describe('the official client', () => {
  it('creates, retrieves, lists, downloads and deletes', async () => {
    const openai = await newOwner();
    const text = '{"custom_id":"ä"}\n';
    const file = await openai.files.create({
      file: await toFile(Buffer.from(text), 'Grüße 1.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(file).toEqual({
      id: expect.stringMatching(/^file-[0-9a-f]{32}$/),
      object: 'file',
      bytes: Buffer.byteLength(text),
      created_at: expect.any(Number),
      expires_at: file.created_at + 3_600,
      filename: 'Grüße 1.jsonl',
      purpose: 'batch',
      status: 'processed',
      status_details: null,
    });
    expect(await openai.files.retrieve(file.id)).toEqual(file);
    expect((await openai.files.list()).data).toEqual([file]);
    expect(await (await openai.files.content(file.id)).text()).toBe(text);
    expect(await openai.files.delete(file.id)).toEqual({
      id: file.id,
      object: 'file',
      deleted: true,
    });
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
    await expect(openai.files.delete(file.id)).rejects.toMatchObject({ status: 404 });
    expect(await stored()).toEqual([]);
  });

  it('pages through all files, in both orders, also where it deletes them on the way', async () => {
    const openai = await newOwner();
    const ids: string[] = [];
    for (const purpose of ['user_data', 'batch', 'user_data', 'evals', 'user_data'] as const) {
      const file = await toFile(Buffer.from('x'), 'x.jsonl');
      ids.push((await openai.files.create({ file, purpose })).id);
    }
    const all = async (options: OpenAI.FileListParams) => {
      const found: string[] = [];
      for await (const { id } of openai.files.list({ limit: 2, ...options })) found.push(id);
      return found;
    };
    expect(await all({})).toEqual(ids.toReversed());
    expect(await all({ order: 'asc' })).toEqual(ids);
    expect(await all({ purpose: 'user_data' })).toEqual([ids[4], ids[2], ids[0]]);
    expect(await all({ after: ids[1] ?? '' })).toEqual([ids[0]]);
    for await (const { id } of openai.files.list({ limit: 2 })) await openai.files.delete(id);
    expect(await all({})).toEqual([]);
    await expect(all({ after: 'file-none' })).rejects.toMatchObject({ code: 'invalid_cursor' });
  });

  it('gets what it asks for in parts', async () => {
    const openai = await newOwner();
    const file = await openai.files.create({
      file: await toFile(Buffer.from('0123456789'), 'digits.txt'),
      purpose: 'user_data',
    });
    const get = async (headers: Record<string, string>, method = 'GET') => {
      const url = `${world.api.url}/v1/files/${file.id}/content`;
      const response = await fetch(url, { method, headers: { ...key.headers, ...headers } });
      return { response, text: await response.text() };
    };
    const whole = await get({});
    expect([whole.response.status, whole.text]).toEqual([200, '0123456789']);
    expect(Object.fromEntries(whole.response.headers)).toMatchObject({
      'accept-ranges': 'bytes',
      'content-length': '10',
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
    });
    const etag = whole.response.headers.get('etag') ?? '';
    for (const [range, text, where] of [
      ['bytes=2-4', '234', 'bytes 2-4/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-3', '789', 'bytes 7-9/10'],
      ['bytes=5-100', '56789', 'bytes 5-9/10'],
    ] as const) {
      const part = await get({ range, 'if-range': etag });
      expect([part.response.status, part.text]).toEqual([206, text]);
      expect(part.response.headers.get('content-range')).toBe(where);
      expect(part.response.headers.get('content-length')).toBe(String(text.length));
    }
    const behind = await get({ range: 'bytes=10-' });
    expect(behind.response.status).toBe(416);
    expect(behind.response.headers.get('content-range')).toBe('bytes */10');
    expect(JSON.parse(behind.text)).toMatchObject({ error: { code: 'range_not_satisfiable' } });
    for (const headers of [
      { range: 'bytes=0-1,3-4' },
      { range: 'lines=1-2' },
      { range: 'bytes=4-2' },
      { range: 'bytes=1-2', 'if-range': '"another"' },
    ]) {
      expect((await get(headers as Record<string, string>)).text).toBe('0123456789');
    }
    const head = await get({ range: 'bytes=1-2' }, 'HEAD');
    expect([head.response.status, head.text]).toEqual([200, '']);
    expect(head.response.headers.get('content-length')).toBe('10');
    await forgetAll();
  });
});

describe('an upload', () => {
  beforeAll(newOwner);
  afterEach(forgetAll);

  it.each([
    ['after', [FILE, PURPOSE]],
    ['before', [PURPOSE, FILE]],
  ])('may have its fields %s the file', async (_where, parts) => {
    const answer = await upload(formOf(...parts));
    expect(answer.body).toMatchObject({ purpose: 'batch', filename: 'in.jsonl', bytes: 18 });
  });

  it('is kept for as long as is configured where it does not say', async () => {
    const { body } = await upload(formOf(PURPOSE, FILE));
    const { created_at, expires_at } = body as unknown as Record<string, number>;
    expect((expires_at ?? 0) - (created_at ?? 0)).toBe(30 * 24 * 3_600);
  });

  const large = Buffer.alloc(BATCH_BYTES_MAX + 1, 'x');
  const largest = Buffer.alloc(FILE_BYTES_MAX + 1, 'x');
  const whole = formOf(PURPOSE, FILE);

  it.each([
    ['no file', form(formOf(PURPOSE)), 400, 'file'],
    ['nothing at all', form(FORM_END), 400, 'file'],
    ['a file that is a field', form(formOf(PURPOSE, { name: 'file', value: 'x' })), 400, 'file'],
    ['two files', form(formOf(PURPOSE, FILE, FILE)), 400, 'file'],
    ['a file of another name', form(formOf(PURPOSE, FILE, { ...FILE, name: 'f' })), 400, 'file'],
    ['another file first', form(formOf({ ...FILE, name: 'other' }, FILE)), 400, 'other'],
    ['a file without a name', form(formOf(PURPOSE, { ...FILE, filename: '' })), 400, 'file'],
    [
      'a batch file that is no .jsonl',
      form(formOf(PURPOSE, { ...FILE, filename: 'a.csv' })),
      400,
      'file',
    ],
    ['the same, told late', form(formOf({ ...FILE, filename: 'a.csv' }, PURPOSE)), 400, 'file'],
    ['a file that is text', form(formOf(PURPOSE, { name: 'file', value: '{}' })), 400, 'file'],
    ['no purpose', form(formOf(FILE)), 400, 'purpose'],
    ['an unknown purpose', form(formOf({ name: 'purpose', value: 'fun' }, FILE)), 400, 'purpose'],
    [
      'a purpose of batches',
      form(formOf({ name: 'purpose', value: 'batch_output' }, FILE)),
      400,
      'purpose',
    ],
    ['a purpose twice', form(formOf(PURPOSE, FILE, PURPOSE)), 400, 'purpose'],
    ['a purpose that is a file', form(formOf({ ...FILE, name: 'purpose' }, FILE)), 400, 'purpose'],
    ['an unknown field', form(formOf(PURPOSE, FILE, { name: 'model', value: 'x' })), 400, 'model'],
    [
      'a field that is too long',
      form(formOf({ name: 'purpose', value: 'x'.repeat(2_000) }, FILE)),
      400,
      'purpose',
    ],
    [
      'a time without its beginning',
      form(formOf(PURPOSE, FILE, ...expiry('', '3600').slice(1))),
      400,
      'expires_after[anchor]',
    ],
    [
      'a time from elsewhere',
      form(formOf(PURPOSE, FILE, ...expiry('now', '3600'))),
      400,
      'expires_after[anchor]',
    ],
    [
      'too short a time',
      form(formOf(PURPOSE, FILE, ...expiry('created_at', '3599'))),
      400,
      'expires_after[seconds]',
    ],
    [
      'too long a time',
      form(formOf(PURPOSE, FILE, ...expiry('created_at', '2592001'))),
      400,
      'expires_after[seconds]',
    ],
    [
      'no number for a time',
      form(formOf(PURPOSE, FILE, ...expiry('created_at', '1h'))),
      400,
      'expires_after[seconds]',
    ],
    [
      'many parts',
      form(
        formOf(
          PURPOSE,
          FILE,
          ...Array.from({ length: 20 }, (_, n) => ({ name: `x${n}`, value: '' })),
        ),
      ),
      400,
      'x0',
    ],
    ['no boundary', form(whole, 'multipart/form-data'), 400, null],
    ['another boundary', form(whole, 'multipart/form-data; boundary=other'), 400, null],
    ['no end', form(whole.subarray(0, -FORM_END.length)), 400, null],
    [
      'an end in the file',
      form(formOf(PURPOSE, { ...FILE, content: large.subarray(9) }).subarray(0, 500_000)),
      400,
      null,
    ],
    ['garbage', form(randomBytes(10_000)), 400, null],
    ['JSON', form('{"purpose":"batch"}', 'application/json'), 415, null],
    [
      'a batch file that is too large',
      form(formOf(PURPOSE, { ...FILE, content: large })),
      413,
      null,
    ],
    ['the same, told late', form(formOf({ ...FILE, content: large }, PURPOSE)), 413, 'file'],
    ['a file that is too large', form(formOf({ ...FILE, content: largest }, PURPOSE)), 413, null],
    [
      'more than any form has',
      form(formOf(PURPOSE, { ...FILE, content: 'x'.repeat(FILE_BYTES_MAX + 100_000) })),
      413,
      'file',
    ],
  ])('is refused with %s, and leaves nothing', async (_name, { body, type }, status, param) => {
    const answer = await upload(body, { type });
    expect([answer.status, answer.body.error?.param]).toEqual([status, param]);
    expect(await stored()).toEqual([]);
    expect(await world.redis.keys('*_files}:record:*')).toEqual([]);
    expect(await world.redis.zcard('{qarr:_files}:due')).toBe(0);
  });

  it('says of a wrong batch file what the official API says', async () => {
    const answer = await upload(formOf(PURPOSE, { ...FILE, filename: 'a.json' }));
    expect(answer.body.error?.message).toBe('Invalid file format for Batch API. Must be .jsonl');
  });

  it('is taken on its route only', async () => {
    const answer = await upload(whole, { path: '/v1/responses' });
    expect([answer.status, answer.body.error?.code]).toEqual([415, 'unsupported_media_type']);
  });

  it('takes its time, and has it, as long as something comes', async () => {
    const body = formOf(PURPOSE, FILE);
    const raw = connectRaw(world.api.port, headFor(body.length));
    // More than any other request may take.
    for (let at = 0; at < body.length; at += 40) {
      raw.socket.write(body.subarray(at, at + 40));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await raw.until('"object":"file"');
    raw.socket.destroy();
  });

  const beginning = `${headOf(PURPOSE)}batch\r\n${headOf(FILE)}${'x'.repeat(200_000)}`;

  it('is given up when nothing more comes', async () => {
    const raw = connectRaw(world.api.port, headFor(900_000) + beginning);
    expect(await raw.closed()).toMatch(/^HTTP\/1.1 408 /);
    await waitUntil('nothing is left', async () => (await stored()).length === 0);
  });

  it('is given up when its client leaves', async () => {
    const raw = connectRaw(world.api.port, headFor(900_000) + beginning);
    await waitUntil('it is being written', async () => (await stored()).length === 1);
    raw.socket.destroy();
    await waitUntil('nothing is left', async () => (await stored()).length === 0);
    await waitUntil(
      'nothing is due',
      async () => (await world.redis.zcard('{qarr:_files}:due')) === 0,
    );
  });

  it('waits for its turn where others are being taken', async () => {
    const open = [1, 2].map(() => connectRaw(world.api.port, headFor(900_000) + beginning));
    await waitUntil('they are being written', async () => (await stored()).length === 2);
    const answer = await upload(whole);
    expect([answer.status, answer.body.error?.code]).toEqual([503, 'files_unavailable']);
    expect(answer.headers.get('retry-after')).toBe('2');
    // Others have their half.
    const other = await clientFor(rival).files.create({
      file: await toFile(Buffer.from('x'), 'x'),
      purpose: 'user_data',
    });
    await clientFor(rival).files.delete(other.id);
    for (const { socket } of open) socket.destroy();
    await waitUntil('nothing is left', async () => (await stored()).length === 0);
  });

  it('leaves no file when its process is killed, and what it leaves is found', async () => {
    const api = await world.startApi({ QARR_UPLOAD_MS_MAX: '1000' });
    const raw = connectRaw(api.port, headFor(900_000) + beginning);
    await waitUntil('it is being written', async () => (await stored()).length === 1);
    api.kill('SIGKILL');
    await api.exited;
    raw.socket.destroy();
    expect((await clientFor(key).files.list()).data).toEqual([]);
    const store = createFolderStore({ folder: world.filesFolder });
    expect(await store.read((await namesOf('due'))[0] ?? '')).toBeNull();
    await store.tidy(0);
    expect(await stored()).toEqual([]);
    await world.redis.del('{qarr:_files}:due');
  });
});

describe('the limits of an owner', () => {
  it('are kept: how many files, and how many bytes', async () => {
    const openai = await newOwner();
    const small = formOf({ name: 'purpose', value: 'user_data' }, FILE);
    const answers = await Promise.all([upload(small), upload(small)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    for (let count = 2; count < FILES_MAX; count += 1) await upload(small);
    const oneMore = await upload(small);
    expect([oneMore.status, oneMore.body.error?.code]).toEqual([400, 'file_quota_exceeded']);
    expect(oneMore.body.error?.message).toContain(`${FILES_MAX} files`);
    await openai.files.delete(answers[0]?.body.id ?? '');
    expect((await upload(small)).status).toBe(200);
    await forgetAll();

    const half = formOf(
      { name: 'purpose', value: 'evals' },
      { ...FILE, content: Buffer.alloc(0.8 * FILE_BYTES_MAX) },
    );
    expect((await upload(half)).status).toBe(200);
    const tooMuch = await upload(half);
    expect([tooMuch.status, tooMuch.body.error?.code]).toEqual([400, 'file_quota_exceeded']);
    expect(await stored()).toHaveLength(1);
    await forgetAll();
    expect(await stored()).toEqual([]);
  });
});

describe('a reader', () => {
  it('that takes nothing is disconnected, and one that is slow is not', async () => {
    const openai = await newOwner();
    const content = randomBytes(FILE_BYTES_MAX);
    const { id } = await openai.files.create({
      file: await toFile(content, 'large.bin'),
      purpose: 'user_data',
    });
    const path = `/v1/files/${id}/content`;
    const slow = await new Promise<Buffer>((resolve, reject) => {
      const request = httpRequest(world.api.url + path, { headers: key.headers }, (response) => {
        const chunks: Buffer[] = [];
        const reading = setInterval(() => {
          const chunk = response.read() as Buffer | null;
          if (chunk !== null) chunks.push(chunk);
        }, 5);
        response.on('end', () => {
          clearInterval(reading);
          resolve(Buffer.concat(chunks));
        });
        response.on('error', reject);
      });
      request.end();
    });
    expect(slow.equals(content)).toBe(true);
    const head = `GET ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: ${key.headers.authorization}\r\n\r\n`;
    const stuck = Array.from({ length: 8 }, () => {
      const raw = connectRaw(world.api.port, head);
      raw.socket.pause();
      return raw;
    });
    await waitUntil('they are stuck', async () => (await openFiles()) > 0);
    await waitUntil('they are gone', async () => (await openFiles()) === 0);
    for (const { socket } of stuck) socket.destroy();
    await forgetAll();
  });
});

describe('a file that a batch reads', () => {
  it('stays until the batch is over', async () => {
    const openai = await newOwner();
    const { id } = (await upload(formOf(PURPOSE, FILE))).body;
    // There is no runner: it is not over.
    await openai.batches.create({
      input_file_id: id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    });
    await expect(openai.files.delete(id)).rejects.toMatchObject({
      status: 400,
      code: 'file_in_use',
    });
    expect((await openai.files.retrieve(id)).id).toBe(id);
  });
});

describe('files of somebody else', () => {
  it('are unknown, by any route', async () => {
    const openai = await newOwner();
    const { id } = (await upload(formOf(PURPOSE, FILE))).body;
    const theirs = clientFor(rival);
    const notFound = { status: 404, code: 'file_not_found' };
    await expect(theirs.files.retrieve(id)).rejects.toMatchObject(notFound);
    await expect(theirs.files.content(id)).rejects.toMatchObject(notFound);
    await expect(theirs.files.delete(id)).rejects.toMatchObject(notFound);
    await expect(theirs.files.list({ after: id })).rejects.toMatchObject({
      code: 'invalid_cursor',
    });
    expect((await theirs.files.list()).data).toEqual([]);
    await openai.files.delete(id);
    await expect(theirs.files.list({ after: id })).rejects.toMatchObject({
      code: 'invalid_cursor',
    });
  });
});

function requireDisk([command = '', ...args]: readonly string[]): void {
  const { status, error, stderr } = spawnSync(command, [...args, 'true'], { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim();
  throw new Error(
    `This test needs a disk of its own: unshare (of util-linux, on Linux), and a kernel that lets users have namespaces. ${reason}`,
  );
}

describe('a disk', () => {
  it('that is full refuses what does not fit, keeps what does, and works again', async () => {
    await newOwner();
    // A disk of its own, which no privilege is needed for.
    const mount = 'mount -t tmpfs -o size=4m none /mnt && exec "$@"';
    const within = ['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh'];
    requireDisk(within);
    const api = await world.startApi(
      {
        PATH: process.env['PATH'] ?? '',
        QARR_FILES_DIR: '/mnt/files',
        // Of this disk, and not of a machine that has other things to do.
        QARR_REQUEST_TIMEOUT_MS: '30000',
        QARR_FILES_BYTES_MAX: '100000000',
        QARR_UPLOAD_IDLE_MS: '60000',
        QARR_FILES_TOTAL_BYTES_MAX: '100000000',
      },
      within,
    );
    const { url } = api;
    const openai = clientFor(key, api);
    // What cannot fit is told before anything of it is read.
    const raw = connectRaw(api.port, headFor(90_000_000));
    await raw.until('"code":"files_full"');
    expect(raw.text).toMatch(/^HTTP\/1.1 507 /);
    raw.socket.destroy();
    // Nobody can tell how much will come.
    const streamed = () => new Blob([fileOf(6_000_000)]).stream() as unknown as ReadableStream;
    const { body } = await upload(fileOf(3_000_000), { url });
    for (let time = 0; time < 2; time += 1) {
      const answer = await upload(streamed(), { url });
      expect([answer.status, answer.body.error?.code]).toEqual([507, 'files_full']);
    }
    expect((await openai.files.list()).data.map(({ id }) => id)).toEqual([body.id]);
    // What was cut off takes no room.
    const second = await upload(fileOf(600_000), { url });
    expect(second.status).toBe(200);
    expect((await upload(fileOf(3_000_000), { url })).status).toBe(507);
    await openai.files.delete(body.id);
    const third = await upload(fileOf(3_000_000), { url });
    expect(third.status).toBe(200);
    for (const { id } of [second.body, third.body]) {
      const { bytes } = await openai.files.retrieve(id);
      const content = await (await openai.files.content(id)).arrayBuffer();
      expect(content.byteLength).toBe(bytes);
      await openai.files.delete(id);
    }
    await api.stop();
  });
});

function headFor(length: number): string {
  return `POST /v1/files HTTP/1.1\r\nhost: localhost\r\nauthorization: ${key.headers.authorization}\r\ncontent-type: ${FORM_TYPE}\r\ncontent-length: ${length}\r\n\r\n`;
}

/** Of files that are being read. */
async function openFiles(): Promise<number> {
  const fds = await readdir(`/proc/${world.api.pid}/fd`);
  const links = await Promise.all(
    fds.map((fd) => readlink(`/proc/${world.api.pid}/fd/${fd}`).catch(() => '')),
  );
  return links.filter((link) => link.startsWith(join(world.filesFolder, 'files'))).length;
}

function expiry(anchor: string, seconds: string): FormPart[] {
  return [
    { name: 'expires_after[anchor]', value: anchor },
    { name: 'expires_after[seconds]', value: seconds },
  ];
}

function form(content: Buffer | string, type = FORM_TYPE): { body: Buffer; type: string } {
  return { body: Buffer.from(content), type };
}

function fileOf(bytes: number): Buffer {
  return formOf({ name: 'purpose', value: 'user_data' }, { ...FILE, content: randomBytes(bytes) });
}

async function namesOf(name: string): Promise<string[]> {
  const ids = await world.redis.zrange(`{qarr:_files}:${name}`, '0', '-1');
  return ids.map((id) => `files/${id}`);
}
