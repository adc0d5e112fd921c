import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFolderStore } from '@qarr/file-store';
import { ConfigurationError } from '@qarr/process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findBelonging, isForeign, isOurs } from './deployment-id.ts';
import { checkFileStore } from './file-config.ts';

async function newFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-files-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return { folder, files: createFolderStore({ folder }) };
}

/** What a Redis says of it. */
function redis({ hasFiles = false }: { hasFiles?: boolean } = {}) {
  let known: string | null = null;
  return {
    deployment: async () => ({ id: known, hasFiles }),
    nameDeployment: async (id: string) => (known ??= id),
  };
}

async function* content(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('content');
}

describe('the id of a deployment', () => {
  it('is given to both while there are no files, and stays', async () => {
    const { files } = await newFolder();
    const records = redis();
    const first = await findBelonging({ files, records });
    expect(isOurs(first)).toBe(true);
    expect(await findBelonging({ files, records })).toEqual(first);
    await files.write('files/file-1', content(), { bytesMax: 10 });
    expect(await findBelonging({ files, records })).toEqual(first);
  });

  it('reaches a store whose first process died between the two', async () => {
    const { files } = await newFolder();
    const records = redis();
    await records.nameDeployment('of-before');
    const belonging = { inStore: 'of-before', inRedis: 'of-before' };
    expect(await findBelonging({ files, records })).toEqual(belonging);
  });

  it('is not given to a store that holds what another Redis may know', async () => {
    const { files } = await newFolder();
    await files.write('files/file-1', content(), { bytesMax: 10 });
    const none = { inStore: null, inRedis: null };
    expect(await findBelonging({ files, records: redis() })).toEqual(none);
  });

  it('is not given to an empty store in place of the one that has the files', async () => {
    const { files } = await newFolder();
    const found = await findBelonging({ files, records: redis({ hasFiles: true }) });
    expect(found).toEqual({ inStore: null, inRedis: null });
    expect([isOurs(found), isForeign(found)]).toEqual([false, false]);
  });

  it("ends the start with another's store, in one line that says what to change", async () => {
    const { folder, files } = await newFolder();
    const options = (records: ReturnType<typeof redis>) => ({
      place: { kind: 'folder', folder } as const,
      records,
      log: {} as never,
    });
    await checkFileStore(files, options(redis()));
    const other = redis();
    await other.nameDeployment('other');
    const start = checkFileStore(files, options(other));
    await expect(start).rejects.toThrow(
      /^QARR_FILES_DIR: \S+ belongs to another Redis than REDIS_URL \(deployment \S+, not other\)/,
    );
    await expect(start).rejects.toBeInstanceOf(ConfigurationError);
    // One that has lost all must be able to start: only what it does not know stays where it is.
    expect(await checkFileStore(files, options(redis()))).toEqual([]);
  });
});
