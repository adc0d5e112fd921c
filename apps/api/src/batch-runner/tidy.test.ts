import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFolderStore } from '@qarr/file-store';
import type { BatchRecord, BatchState } from '@qarr/router-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createTidy } from './tidy.ts';

const DAY_MS = 86_400_000;

/** A folder with these objects, and a Redis that knows these files and batches. */
async function worldOf({
  objects,
  records = [],
  due = [],
  batches = {},
  leftovers = [],
  deployment = ['ours', 'ours'],
  now = Date.now() + 2 * DAY_MS,
}: {
  objects: readonly string[];
  /** Ids of files. */
  records?: readonly string[];
  due?: readonly string[];
  /** State and input file, by id. */
  batches?: Readonly<Record<string, readonly [BatchState, string]>>;
  leftovers?: readonly string[];
  /** In the store, and in Redis. */
  deployment?: readonly [string | null, string | null];
  now?: number;
}) {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-tidy-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const files = createFolderStore({ folder });
  for (const name of objects) await files.write(name, content(), { bytesMax: 10 });
  const [inStore, inRedis] = deployment;
  if (inStore !== null) await files.write('deployment', content(inStore), { bytesMax: 10 });
  const logged: string[] = [];
  const say = (fields: { name?: string }, message: string) => {
    logged.push(fields.name ?? message.slice(0, 9));
  };
  const forgotten: string[] = [];
  const cleared: string[] = [];
  const store = {
    batchRuns: {
      leftovers: async ({ overForMs }: { overForMs: number }) =>
        overForMs < 600_000 ? [] : leftovers,
      cleared: async (id: string) => void cleared.push(id),
      unfinished: async () =>
        Object.entries(batches).flatMap(([id, [state]]) => (state === 'in_progress' ? [id] : [])),
    },
    batches: {
      get: async (id: string) => {
        const [state, inputFileId] = batches[id] ?? [];
        return state === undefined ? null : ({ state, inputFileId } as BatchRecord);
      },
    },
    files: {
      get: async (id: string) => (records.includes(id) ? { id } : null),
      due: async (limit: number) => due.slice(0, limit),
      remove: async (id: string) => forgotten.push(id) > 0,
      deployment: async () => ({ id: inRedis, hasFiles: records.length > 0 }),
      nameDeployment: async (id: string) => inRedis ?? id,
    },
  };
  const tidy = createTidy({
    store: store as never,
    files,
    log: { info: say, warn: say } as never,
    now: () => now,
  });
  const left = async () => {
    const names: string[] = [];
    for (const prefix of ['files/', 'batches/']) {
      for await (const { name } of files.list(prefix)) names.push(name);
    }
    return names.toSorted();
  };
  return { tidy, left, forgotten, cleared, logged };
}

async function* content(text = 'content'): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

describe('tidying', () => {
  it('removes the content of files whose time is over, then forgets them, but for those in use', async () => {
    const { tidy, left, forgotten } = await worldOf({
      objects: ['files/file-old', 'files/file-read', 'files/file-new'],
      due: ['file-read', 'file-old'],
      batches: { batch_1: ['in_progress', 'file-read'] },
    });
    await tidy.expireFiles();
    expect(await left()).toEqual(['files/file-new', 'files/file-read']);
    expect(forgotten).toEqual(['file-old']);
  });

  it('removes objects that nobody knows, and what batches that are over were made of', async () => {
    const { tidy, left, logged } = await worldOf({
      objects: [
        'files/file-known',
        'files/file-read',
        'files/file-orphan',
        'batches/batch_1/index',
        'batches/batch_2/7-1',
        'batches/batch_3/7-1',
      ],
      records: ['file-known'],
      batches: { batch_1: ['in_progress', 'file-read'], batch_2: ['completed', 'file-known'] },
    });
    await tidy.removeOrphans();
    expect(await left()).toEqual(['batches/batch_1/index', 'files/file-known', 'files/file-read']);
    expect(logged.toSorted()).toEqual([
      'batches/batch_2/7-1',
      'batches/batch_3/7-1',
      'files/file-orphan',
    ]);
  });

  it.each<[string, string | null, string | null]>([
    ['is of another', 'theirs', 'ours'],
    ['is of a Redis that has lost all', 'theirs', null],
    ['has lost its id', null, 'ours'],
    ['was never given an id', null, null],
  ])('leaves what it does not know in a store that %s', async (_what, ...deployment) => {
    const { tidy, left, logged } = await worldOf({ objects: ['files/file-orphan'], deployment });
    await tidy.removeOrphans();
    expect(await left()).toEqual(['files/file-orphan']);
    expect(logged).toEqual(['what noth']);
  });

  it('leaves what is new: its record may be about to be written', async () => {
    const { tidy, left } = await worldOf({ objects: ['files/file-orphan'], now: Date.now() });
    await tidy.removeOrphans();
    expect(await left()).toEqual(['files/file-orphan']);
  });

  it('removes what batches were made of that have been over for a while, and nothing of another', async () => {
    const { tidy, left, cleared } = await worldOf({
      objects: [
        'batches/batch_1/index',
        'batches/batch_1/7-1',
        'batches/batch_12/index',
        'batches/batch_2/7-1',
        'batches/batch_3/7-1',
      ],
      batches: { batch_1: ['expired', 'file-1'], batch_2: ['finalizing', 'file-2'] },
      // Redis has lost the end of the second one, and all of the last one.
      leftovers: ['batch_1', 'batch_2', 'batch_3'],
    });
    await tidy.clearBatches();
    expect(await left()).toEqual(['batches/batch_12/index', 'batches/batch_2/7-1']);
    expect(cleared).toEqual(['batch_1', 'batch_2', 'batch_3']);
  });
});
