/** What holds of every file store, wherever its files lie. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { FileStore } from './file-store.ts';

const ROOM = { bytesMax: 100_000_000 };

/** @param open a store on the same place each time; @param leftovers what cut writes have left there */
export function itKeepsFiles({
  open,
  leftovers,
  largeBytes,
}: {
  open: () => FileStore;
  leftovers: () => Promise<number>;
  /** More than the store sends at once, so that it is written in several parts; whole hundreds. */
  largeBytes: number;
}): void {
  it('gives back what was written, and says how much and what it was', async () => {
    const store = open();
    await store.check();
    const written = await store.write('files/one', chunks('hello ', 'world'), ROOM);
    expect(written).toEqual({ bytes: 11, sha256: sha256('hello world') });
    expect(await textOf(store, 'files/one')).toBe('hello world');
    expect(await textOf(open(), 'files/one')).toBe('hello world');
  });

  it('keeps an object without any content', async () => {
    const store = open();
    expect(await store.write('files/empty', chunks(), ROOM)).toEqual({
      bytes: 0,
      sha256: sha256(''),
    });
    expect(await textOf(store, 'files/empty')).toBe('');
  });

  it('replaces an object as a whole', async () => {
    const store = open();
    await store.write('files/again', chunks('a long first text'), ROOM);
    await store.write('files/again', chunks('second'), ROOM);
    expect(await textOf(store, 'files/again')).toBe('second');
  });

  it.each([
    { start: 2, end: 5, text: '234', bytes: 10 },
    { start: 7, end: undefined, text: '789', bytes: 10 },
    { start: 0, end: 10, text: '0123456789', bytes: 10 },
    { start: 8, end: 99, text: '89', bytes: 10 },
    { start: 4, end: 4, text: '', bytes: 10 },
    { start: 10, end: undefined, text: '', bytes: 10 },
    { start: 99, end: 100, text: '', bytes: 10 },
  ])('reads from $start up to $end', async ({ text, bytes, ...range }) => {
    const store = open();
    await store.write('files/digits', chunks('01234', '56789'), ROOM);
    const found = await read(store, 'files/digits', range);
    expect(found.bytes).toBe(bytes);
    expect(Buffer.concat((await found.content.toArray()) as Buffer[]).toString()).toBe(text);
  });

  it('knows nothing of what was not written, or was removed', async () => {
    const store = open();
    expect(await store.read('files/never')).toBeNull();
    expect(await store.read('never/never', { start: 1, end: 2 })).toBeNull();
    await store.write('files/gone', chunks('text'), ROOM);
    await store.remove('files/gone');
    await store.remove('files/gone');
    expect(await store.read('files/gone')).toBeNull();
    expect(await namesOf(store, 'files/gone')).toEqual([]);
  });

  it('lists what begins like this', async () => {
    const store = open();
    const names = ['batches/b1/1-1', 'batches/b1/1-2', 'batches/b2/1-1', 'lists/x'];
    for (const name of names) await store.write(name, chunks(name), ROOM);
    expect(await namesOf(store, 'batches/b1/')).toEqual(names.slice(0, 2));
    expect(await namesOf(store, 'batches/b')).toEqual(names.slice(0, 3));
    expect(await namesOf(store, 'nothing/')).toEqual([]);
    expect((await namesOf(store, '')).filter((name) => names.includes(name))).toEqual(names);
    for await (const { bytes, modifiedAtMs } of store.list('lists/')) {
      expect(bytes).toBe(7);
      expect(Math.abs(modifiedAtMs - Date.now())).toBeLessThan(60_000);
    }
  });

  it('writes what is larger than one part, whole and in order', async () => {
    const store = open();
    const text = Array.from({ length: largeBytes / 100 }, (_, line) => `${line}`.padEnd(99))
      .map((line) => `${line}\n`)
      .join('');
    const size = largeBytes / 40;
    const pieces = Array.from({ length: 40 }, (_, at) => text.slice(at * size, (at + 1) * size));
    const written = await store.write('files/large', chunks(...pieces), ROOM);
    expect(written).toEqual({ bytes: largeBytes, sha256: sha256(text) });
    expect(sha256(await textOf(store, 'files/large'))).toBe(sha256(text));
    expect(await textOf(store, 'files/large', { start: 100, end: 102 })).toBe('1 ');
  });

  it.each([
    ['small', 1],
    ['of several parts', largeBytes],
  ])('leaves nothing of a %s write that was too large', async (_size, bytes) => {
    const store = open();
    const writing = store.write('files/too-large', endless(bytes), { bytesMax: bytes * 2 });
    await expect(writing).rejects.toMatchObject({ problem: 'too_large' });
    expect(await store.read('files/too-large')).toBeNull();
    expect(await leftovers()).toBe(0);
  });

  it.each([
    ['at once', 1],
    ['after some parts', largeBytes],
  ])('leaves nothing of what a source breaks off %s', async (_when, bytes) => {
    const store = open();
    await store.write('files/broken', chunks('before'), ROOM);
    const broken = new Error('cut');
    await expect(store.write('files/broken', thenFails(bytes, broken), ROOM)).rejects.toBe(broken);
    expect(await textOf(store, 'files/broken')).toBe('before');
    expect(await leftovers()).toBe(0);
  });

  it.each([
    ['at once', 1],
    ['after some parts', largeBytes],
  ])('gives up a silent source %s when it is told', async (_when, bytes) => {
    const store = open();
    const given = new AbortController();
    const silent = new Error('silent');
    const source = thenSilent(bytes, () => setImmediate(() => given.abort(silent)));
    const writing = store.write('files/silent', source, { ...ROOM, signal: given.signal });
    await expect(writing).rejects.toBe(silent);
    expect(await store.read('files/silent')).toBeNull();
    expect(await leftovers()).toBe(0);
  });

  it('does not begin what is given up already', async () => {
    const reason = new Error('given up');
    const writing = open().write('files/none', chunks('text'), {
      ...ROOM,
      signal: AbortSignal.abort(reason),
    });
    await expect(writing).rejects.toBe(reason);
    expect(await open().read('files/none')).toBeNull();
  });

  it('reads on while the object is replaced', async () => {
    const store = open();
    const first = Buffer.alloc(1_000_000, 'a').toString();
    await store.write('files/read', chunks(first), ROOM);
    const { content } = await read(store, 'files/read');
    const reading = content[Symbol.asyncIterator]();
    const begun = ((await reading.next()) as IteratorResult<Buffer, undefined>).value?.toString();
    await store.write('files/read', chunks('b'), ROOM);
    let text = begun ?? '';
    for await (const chunk of content) text += String(chunk);
    expect(text).toBe(first);
  });

  it('tidies up nothing that is still being written', async () => {
    const store = open();
    const go = Promise.withResolvers<void>();
    async function* slow() {
      yield Buffer.alloc(largeBytes, 'a');
      await go.promise;
      yield Buffer.from('b');
    }
    const writing = store.write('files/slow', slow(), ROOM);
    await sleep(50);
    await store.tidy(60_000);
    go.resolve();
    expect((await writing).bytes).toBe(largeBytes + 1);
  });

  it.each([
    '',
    '..',
    '../x',
    'files/../x',
    '/files/x',
    'files//x',
    '.incoming/x',
    'files/.x',
    'a b',
  ])('refuses the name %j', async (name) => {
    const store = open();
    await expect(store.write(name, chunks('x'), ROOM)).rejects.toThrow(TypeError);
    await expect(store.read(name)).rejects.toThrow(TypeError);
    await expect(store.remove(name)).rejects.toThrow(TypeError);
  });
}

export async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}

export async function textOf(
  store: FileStore,
  name: string,
  range?: { start: number; end?: number | undefined },
): Promise<string> {
  const { content } = await read(store, name, range);
  return Buffer.concat((await content.toArray()) as Buffer[]).toString();
}

async function read(
  store: FileStore,
  name: string,
  range?: { start: number; end?: number | undefined },
) {
  const found = await store.read(name, range);
  if (found === null) throw new Error(`There is no ${name}`);
  return found;
}

async function namesOf(store: FileStore, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of store.list(prefix)) names.push(name);
  return names.toSorted();
}

async function* endless(bytes: number): AsyncGenerator<Uint8Array> {
  while (true) yield Buffer.alloc(bytes, 'x');
}

async function* thenFails(bytes: number, error: Error): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(bytes, 'x');
  throw error;
}

async function* thenSilent(bytes: number, silent: () => void): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(bytes, 'x');
  silent();
  await new Promise(() => {});
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
