/** What Redis knows of files: limits, time and order. */
import { randomUUID } from 'node:crypto';
import type { ProducerStore } from '@qarr/job-store';
import type { NewFile, StoredFile } from '@qarr/router-core';
import { expect, it } from 'vitest';
import { createStores } from '../harness/store.ts';
import type { Stores } from '../harness/store.ts';
import { waitUntil } from '../harness/wait-until.ts';

function newFile(fields: Partial<NewFile> = {}): NewFile {
  return {
    id: `file-${randomUUID().replaceAll('-', '')}`,
    owner: 'acme',
    filename: 'in.jsonl',
    purpose: 'batch',
    bytes: 10,
    sha256: 'ab'.repeat(32),
    keptMs: 60_000,
    ...fields,
  };
}

const NO_CURSOR = { purpose: null, order: 'desc', limit: 100, after: null } as const;

async function open(): Promise<{ stores: Stores; files: ProducerStore['files'] }> {
  const stores = createStores();
  return { stores, files: (await stores.producer()).files };
}

async function create(files: ProducerStore['files'], file: NewFile): Promise<StoredFile> {
  const creation = await files.create(file, null);
  if (creation.kind !== 'created') throw new Error(creation.kind);
  return creation.file;
}

it('lets nobody beyond a limit, also where many come at once', async () => {
  const { files } = await open();
  const limits = { filesMax: 5, bytesMax: 1_000 };
  const creations = await Promise.all(
    Array.from({ length: 20 }, () => files.create(newFile(), limits)),
  );
  expect(creations.filter(({ kind }) => kind === 'created')).toHaveLength(5);
  expect(creations.filter(({ kind }) => kind === 'too_many')).toHaveLength(15);
  expect(await files.usage('acme')).toEqual({ files: 5, bytes: 50 });

  const other = { owner: 'other', bytes: 400 };
  const heavy = await Promise.all(
    Array.from({ length: 4 }, () => files.create(newFile(other), limits)),
  );
  expect(heavy.map(({ kind }) => kind).toSorted()).toEqual([
    'created',
    'created',
    'too_large',
    'too_large',
  ]);
  const [first] = heavy.flatMap((one) => (one.kind === 'created' ? [one.file] : []));
  await files.remove(first?.id ?? '');
  expect(await files.usage('other')).toEqual({ files: 1, bytes: 400 });
  // What a batch has left must not be lost.
  expect(await files.create(newFile({ ...other, bytes: 5_000 }), null)).toMatchObject({
    kind: 'created',
  });
});

it('ends the time of a file at once, and names it until it is removed', async () => {
  const { stores, files } = await open();
  const short = await create(files, newFile({ keptMs: 150 }));
  const long = await create(files, newFile());
  expect(await files.get(short.id)).toEqual(short);
  expect(await files.due(10)).toEqual([]);
  await waitUntil('its time is over', async () => (await files.get(short.id)) === null);
  expect((await files.list({ owner: 'acme', ...NO_CURSOR }))?.files).toEqual([long]);
  expect(await files.due(10)).toEqual([short.id]);
  expect(await files.expire(short.id)).toBe(false);
  expect(await files.remove(short.id)).toBe(true);
  expect(await files.remove(short.id)).toBe(false);
  expect(await files.due(10)).toEqual([]);

  expect(await files.expire(long.id)).toBe(true);
  expect(await files.get(long.id)).toBeNull();
  expect(await files.due(10)).toEqual([long.id]);
  await files.remove(long.id);
  const left = await stores.redis.keys(`*${stores.root}*_files*`);
  // Where they stood, for whoever is in the middle of a list.
  expect(left.map((name) => name.split(':')[2])).toEqual(['gone', 'gone']);
  for (const name of left) expect(await stores.redis.pttl(name)).toBeGreaterThan(0);
});

it('names what was announced and has no record', async () => {
  const { files } = await open();
  await files.announce('file-cut', 0);
  const written = newFile();
  await files.announce(written.id, 0);
  await create(files, written);
  expect(await files.due(10)).toEqual(['file-cut']);
  // An announcement that comes late ends nothing.
  await files.announce(written.id, 0);
  expect(await files.due(10)).toEqual(['file-cut']);
  expect(await files.remove('file-cut')).toBe(false);
  expect(await files.due(10)).toEqual([]);
});

it('may be told the same file again', async () => {
  const { files } = await open();
  const file = newFile({ bytes: 10 });
  const first = await create(files, file);
  const again = await create(files, { ...file, bytes: 30, sha256: 'cd'.repeat(32) });
  expect(again).toEqual({ ...first, bytes: 30, sha256: 'cd'.repeat(32) });
  expect(await files.get(file.id)).toEqual(again);
  expect(await files.usage('acme')).toEqual({ files: 1, bytes: 30 });
});

it('lists each file once, whatever is removed on the way', async () => {
  const { files } = await open();
  const all: string[] = [];
  for (let count = 0; count < 25; count += 1) {
    const purpose = count % 2 === 0 ? 'batch' : 'user_data';
    all.push((await create(files, newFile({ purpose, keptMs: count % 5 === 0 ? 1 : 60_000 }))).id);
  }
  await create(files, newFile({ owner: 'other' }));
  const kept = all.filter((_, at) => at % 5 !== 0);
  await waitUntil('the short ones are over', async () => (await files.due(10)).length === 5);

  async function pages(order: 'asc' | 'desc', remove: boolean): Promise<string[]> {
    const found: string[] = [];
    for (let after: string | null = null; ;) {
      const page = await files.list({ owner: 'acme', purpose: null, order, limit: 3, after });
      if (page === null) throw new Error('The cursor is unknown');
      for (const { id } of page.files) {
        found.push(id);
        if (remove) await files.remove(id);
      }
      after = page.files.at(-1)?.id ?? null;
      if (!page.hasMore) return found;
    }
  }
  // Files of one millisecond stand in the order of their ids.
  expect((await pages('asc', false)).toSorted()).toEqual(kept.toSorted());
  expect(await pages('desc', false)).toEqual((await pages('asc', false)).toReversed());
  const batch = await files.list({ owner: 'acme', ...NO_CURSOR, purpose: 'batch' });
  expect(batch?.files.every(({ purpose }) => purpose === 'batch')).toBe(true);
  expect(batch?.files).toHaveLength(10);
  expect(await files.list({ owner: 'other', ...NO_CURSOR, after: kept[0] ?? '' })).toBeNull();
  expect((await pages('asc', true)).toSorted()).toEqual(kept.toSorted());
  expect(await files.list({ owner: 'other', ...NO_CURSOR, after: kept[0] ?? '' })).toBeNull();
});

it('has one id of the deployment, whoever gives it first, and knows whether there are files', async () => {
  const { files } = await open();
  expect(await files.deployment()).toEqual({ id: null, hasFiles: false });
  const given = await Promise.all(['a', 'b', 'c'].map((id) => files.nameDeployment(id)));
  expect(new Set(given).size).toBe(1);
  await files.announce('file-of-an-upload', 60_000);
  expect(await files.deployment()).toEqual({ id: given[0], hasFiles: true });
});
