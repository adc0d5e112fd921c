import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chunks, itKeepsFiles, textOf } from './contract-for-test.ts';
import { createFolderStore } from './folder-store.ts';

describe('a folder store', () => {
  let parent = '';
  const folder = () => join(parent, 'made', 'by-the-store');
  beforeAll(async () => void (parent = await mkdtemp(join(tmpdir(), 'qarr-files-'))));
  afterAll(() => rm(parent, { recursive: true }));

  const open = () => createFolderStore({ folder: folder() });
  const temporary = () => join(folder(), '.incoming');

  itKeepsFiles({
    open,
    leftovers: async () => (await readdir(temporary())).length,
    largeBytes: 1_200_000,
  });

  it('removes what cut writes have left, once it is old', async () => {
    const store = open();
    await writeFile(join(temporary(), 'old'), 'x');
    await utimes(join(temporary(), 'old'), 1, 1);
    await writeFile(join(temporary(), 'young'), 'x');
    await store.tidy(60_000);
    expect(await readdir(temporary())).toEqual(['young']);
    await rm(join(temporary(), 'young'));
  });

  it('removes the folder of an object with its last object', async () => {
    const store = open();
    for (const name of ['1-1', '1-2']) await store.write(`runs/b/${name}`, chunks('x'), ROOM);
    await store.remove('runs/b/1-1');
    expect(await readdir(join(folder(), 'runs', 'b'))).toEqual(['1-2']);
    await store.remove('runs/b/1-2');
    expect(await readdir(folder())).not.toContain('runs');
  });

  it('loses nothing where objects of a folder come and go at once', async () => {
    const store = open();
    const comeAndGo = async (name: string) => {
      for (let time = 0; time < 20; time += 1) {
        await store.write(`busy/${name}`, chunks(`${time}`), ROOM);
        expect(await textOf(store, `busy/${name}`)).toBe(`${time}`);
        await store.remove(`busy/${name}`);
      }
    };
    await Promise.all(['a', 'b', 'c'].map(comeAndGo));
  });

  it('knows how much room there is', async () => {
    const room = await open().room();
    expect(room?.totalBytes).toBeGreaterThan(room?.freeBytes ?? Number.POSITIVE_INFINITY);
    expect(room?.freeBytes).toBeGreaterThan(0);
  });

  it('says that it cannot write where it may not', async () => {
    await writeFile(join(parent, 'a-file'), 'x');
    const store = createFolderStore({ folder: join(parent, 'a-file', 'below') });
    await expect(store.check()).rejects.toMatchObject({ problem: 'unavailable' });
    await expect(store.write('files/x', chunks('x'), ROOM)).rejects.toMatchObject({
      problem: 'unavailable',
    });
  });

  it('wants an absolute path', () => {
    expect(() => createFolderStore({ folder: 'files' })).toThrow('Not an absolute path');
  });
});

const ROOM = { bytesMax: 1_000 };
