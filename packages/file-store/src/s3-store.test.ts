import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { chunks, itKeepsFiles, textOf } from './contract-for-test.ts';
import { startS3Server } from './s3-server-for-test.ts';
import type { S3Server } from './s3-server-for-test.ts';
import { createS3Store } from './s3-store.ts';

const ROOM = { bytesMax: 100_000_000 };
/** Two parts. */
const LARGE = 'x'.repeat(6_000_000);

let server: S3Server;
beforeAll(async () => void (server = await startS3Server()));
afterAll(() => server.stop());

const open = () => createS3Store(server.options);
const isFor = (name: string, part: string) => (request: string) =>
  request.includes(name) && request.includes(part);
const isLastFor = (name: string) => (request: string) =>
  request.startsWith('POST') && request.includes(`${name} uploadId`);

describe('a store that speaks S3', () => {
  itKeepsFiles({ open, leftovers: async () => server.uploads.size, largeBytes: 12_000_000 });

  it('puts all keys behind the prefix', async () => {
    await open().write('files/prefixed', chunks('x'), ROOM);
    expect([...server.objects.keys()]).toContain('qarr/files/prefixed');
    expect([...server.objects.keys()].filter((key) => !key.startsWith('qarr/'))).toEqual([]);
  });

  it.each(['cut', 'lose the answer', 500, 503] as const)('tries again after: %s', async (fault) => {
    for (const part of ['PUT', 'uploads', 'partNumber', 'POST', 'GET']) {
      server.fail(fault, { times: 1, when: isFor('again', part) });
    }
    await open().write('files/again', chunks('text'), ROOM);
    expect(await textOf(open(), 'files/again')).toBe('text');
    await open().write('files/again-large', chunks(LARGE), ROOM);
    expect((await textOf(open(), 'files/again-large')).length).toBe(LARGE.length);
    const [left] = [...server.uploads];
    // One whose id was lost with the answer is tidied up.
    if (left !== undefined) expect(fault).toBe('lose the answer');
    server.age(60_000);
    await open().tidy(30_000);
    expect(server.uploads.size).toBe(0);
  });

  it('gives up after a few tries', async () => {
    const before = server.requests.length;
    server.fail(503, { times: 1_000, when: isFor('never', '') });
    await expect(open().write('files/never', chunks('x'), ROOM)).rejects.toMatchObject({
      problem: 'unavailable',
    });
    expect(server.requests.length - before).toBe(4);
  });

  it('does not wait for ever', async () => {
    server.fail('hang', { times: 1_000, when: isFor('silent-store', '') });
    const store = createS3Store({ ...server.options, timeoutMs: 20 });
    await expect(store.read('files/silent-store')).rejects.toMatchObject({
      problem: 'unavailable',
    });
  });

  it('does not wait for ever for the rest of an object, but for its reader', async () => {
    await open().write('files/slow', chunks(LARGE), ROOM);
    const store = createS3Store({ ...server.options, timeoutMs: 200 });
    const { content } = (await store.read('files/slow')) ?? {};
    let bytes = 0;
    for await (const chunk of content ?? []) {
      if (bytes === 0) await sleep(400);
      bytes += (chunk as Buffer).length;
    }
    expect(bytes).toBe(LARGE.length);
    server.fail('stop in the middle', { times: 1, when: isFor('slow', 'GET') });
    await expect(textOf(store, 'files/slow')).rejects.toMatchObject({ problem: 'unavailable' });
  });

  it('knows an upload whose last answer was lost from an object of before', async () => {
    await open().write('files/lost', chunks(LARGE), ROOM);
    const isLast = isLastFor('lost');
    server.fail('lose the answer', { times: 1, when: isLast });
    await open().write('files/lost', chunks(LARGE.replace('x', 'y')), ROOM);
    expect(await textOf(open(), 'files/lost', { start: 0, end: 2 })).toBe('yx');
    // Aborted by somebody else: of the same size is not the same.
    server.fail('forget the upload', { times: 1, when: isLast });
    await expect(open().write('files/lost', chunks(LARGE), ROOM)).rejects.toMatchObject({
      problem: 'unavailable',
    });
  });

  it('stops at once when it is told, also while the store is silent', async () => {
    server.fail('hang', { times: 1, when: isFor('told', '') });
    const given = new AbortController();
    const writing = open().write('files/told', chunks('x'), { ...ROOM, signal: given.signal });
    const reason = new Error('told');
    setTimeout(() => given.abort(reason), 20);
    await expect(writing).rejects.toBe(reason);
  });

  it('says that there is no room', async () => {
    server.fail(507, { times: 1, when: isFor('no-room', 'partNumber') });
    await expect(open().write('files/no-room', chunks(LARGE), ROOM)).rejects.toMatchObject({
      problem: 'full',
    });
    expect(await open().read('files/no-room')).toBeNull();
    expect(server.uploads.size).toBe(0);
  });

  it('believes no success that has an error in it', async () => {
    server.fail('fail with 200', { times: 4, when: isLastFor('no-success') });
    await expect(open().write('files/no-success', chunks(LARGE), ROOM)).rejects.toMatchObject({
      problem: 'unavailable',
    });
    expect(await open().read('files/no-success')).toBeNull();
    expect(server.uploads.size).toBe(0);
  });

  it('tells nothing of its keys or of what the store says', async () => {
    const credentials = { accessKeyId: 'wrong-access-key', secretAccessKey: 'secret' };
    const store = createS3Store({ ...server.options, credentials });
    const error: unknown = await store.check().catch((problem: unknown) => problem);
    const told = JSON.stringify([String(error), String((error as Error).cause)]);
    expect(told).toContain('SignatureDoesNotMatch');
    expect(told).not.toMatch(/wrong-access-key|secret/);
  });

  it('finds credentials by itself where it is given none', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
    await createS3Store({ ...server.options, credentials: null }).check();
    vi.unstubAllEnvs();
  });

  it('does not know how much room there is', async () => {
    expect(await open().room()).toBeNull();
  });
});
