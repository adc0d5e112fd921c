/**
 * Files in a folder. Content is written to a temporary file, flushed, and renamed; then the folder is
 * flushed. Whoever looks finds the whole object or none, also after a power failure. Processes that
 * share the folder need not know of each other.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, open, opendir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { Readable } from 'node:stream';
import { FileStoreError } from './file-store.ts';
import type { FileStore } from './file-store.ts';
import { createIncoming } from './incoming.ts';
import { checkName, checkPrefix } from './names.ts';

/** Where content lies while it is written: no name of an object begins with a dot. */
const TEMPORARY = '.incoming';
/** Somebody else removes the last object of a folder while one is put there: that does not go on. */
const TRIES_MAX = 10;
/** How much a reader has in memory. */
const READ_BYTES = 65_536;

const NO_ROOM: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);
const NOT_THERE: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR']);

/** @param folder absolute, so that it does not depend on where a process was started */
export function createFolderStore({ folder }: { folder: string }): FileStore {
  if (!isAbsolute(folder)) throw new TypeError(`Not an absolute path: ${folder}`);
  const temporary = join(folder, TEMPORARY);

  function pathOf(name: string): string {
    checkName(name);
    return join(folder, name);
  }

  return {
    async check() {
      await told(async () => {
        const probe = join(temporary, randomUUID());
        await makeFolder(temporary);
        const handle = await open(probe, 'wx');
        await handle.close();
        await unlink(probe);
      });
    },

    async write(name, content, options) {
      const path = pathOf(name);
      const incoming = createIncoming(content, options);
      const partial = join(temporary, randomUUID());
      const handle = await told(async () => {
        await makeFolder(temporary);
        return open(partial, 'wx', 0o600);
      });
      try {
        try {
          for await (const chunk of incoming) await told(() => writeAll(handle, chunk));
          await told(() => handle.sync());
        } finally {
          // Some file systems find out only now that there is no room.
          await told(() => handle.close());
        }
        options.signal?.throwIfAborted();
        await told(() => place(partial, path));
      } catch (error) {
        await unlink(partial).catch(() => {
          // It has been put in its place, or the disk fails: then tidying up finds it.
        });
        throw error;
      }
      return incoming.written();
    },

    async read(name, { start = 0, end } = { start: 0 }) {
      const path = pathOf(name);
      return told(async () => {
        const handle = await openIfThere(path);
        if (handle === null) return null;
        try {
          const { size } = await handle.stat();
          const last = Math.min(end ?? size, size) - 1;
          if (last < start) {
            await handle.close();
            return { bytes: size, content: Readable.from([]) };
          }
          const options = { start, end: last, highWaterMark: READ_BYTES };
          return { bytes: size, content: handle.createReadStream(options) };
        } catch (error) {
          await handle.close();
          throw error;
        }
      });
    },

    async remove(name) {
      const path = pathOf(name);
      await told(async () => {
        if (!(await isGone(unlink(path)))) await flushFolder(dirname(path));
        // The folder goes with its last object; it stays where somebody has put another one there.
        for (let parent = dirname(path); parent !== folder; parent = dirname(parent)) {
          const isRemoved = await rmdir(parent).then(
            () => true,
            () => false,
          );
          if (!isRemoved) break;
        }
      });
    },

    async *list(prefix) {
      checkPrefix(prefix);
      for await (const name of namesIn(folder, prefix.slice(0, prefix.lastIndexOf('/') + 1))) {
        if (!name.startsWith(prefix)) continue;
        const found = await told(() => statIfThere(join(folder, name)));
        if (found !== null) yield { name, bytes: found.size, modifiedAtMs: found.mtimeMs };
      }
    },

    async room() {
      const { bavail, blocks, bsize } = await told(() => statfs(folder));
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    },

    async tidy(olderThanMs) {
      const before = Date.now() - olderThanMs;
      await told(async () => {
        for await (const { name } of entriesOf(temporary)) {
          const path = join(temporary, name);
          const found = await statIfThere(path);
          // Of one that is being written the time is that of the last write.
          if (found !== null && found.mtimeMs < before) await isGone(unlink(path));
        }
      });
    },

    async stop() {},
  };
}

/** Makes the folder of an object and puts the object there. */
async function place(from: string, to: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await makeFolder(dirname(to));
      await rename(from, to);
      break;
    } catch (error) {
      if (!NOT_THERE.has(codeOf(error)) || tries === TRIES_MAX) throw error;
    }
  }
  await flushFolder(dirname(to));
}

async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  // Each new folder is an entry of the one above.
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    await flushFolder(dirname(made));
  }
}

async function* namesIn(folder: string, above: string): AsyncGenerator<string> {
  for await (const entry of entriesOf(join(folder, above))) {
    if (entry.name === TEMPORARY) continue;
    if (entry.isDirectory()) yield* namesIn(folder, `${above}${entry.name}/`);
    else yield `${above}${entry.name}`;
  }
}

async function* entriesOf(path: string) {
  try {
    yield* await opendir(path);
  } catch (error) {
    if (!NOT_THERE.has(codeOf(error))) throw toStoreError(error);
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  // A disk that is nearly full takes a part, and says why only when asked for the rest.
  for (let at = 0; at < chunk.byteLength;) {
    const { bytesWritten } = await handle.write(chunk, at);
    at += bytesWritten;
  }
}

async function flushFolder(path: string): Promise<void> {
  const handle = await openIfThere(path);
  // Somebody has removed it, and flushed the one above.
  if (handle === null) return;
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  return open(path, 'r').catch((error: unknown) => nullIfGone(error));
}

async function statIfThere(path: string) {
  return stat(path).catch((error: unknown) => nullIfGone(error));
}

/** Whether there was nothing there any more. */
async function isGone(removal: Promise<void>): Promise<boolean> {
  return removal.then(
    () => false,
    (error: unknown) => nullIfGone(error) === null,
  );
}

function nullIfGone(error: unknown): null {
  if (NOT_THERE.has(codeOf(error))) return null;
  throw error;
}

/** What a file system says, in the words of all stores. */
async function told<Result>(act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    throw toStoreError(error);
  }
}

function toStoreError(error: unknown): FileStoreError {
  if (error instanceof FileStoreError) return error;
  return NO_ROOM.has(codeOf(error))
    ? new FileStoreError('full', 'There is no room for more files.', { cause: error })
    : new FileStoreError('unavailable', 'The folder of files fails.', { cause: error });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
