/** A copy of the product's sources with a bug planted in it. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Edit {
  /** From the root of the workspace. */
  readonly file: string;
  /** Stands in the file exactly once: a bug that is not planted would be found by nobody. */
  readonly text: string;
  readonly replacement: string;
}

/** What the processes are made of. */
const FOLDERS = ['apps', 'packages'];

/**
 * The links in each package's `node_modules` are relative, so those to other packages of the
 * workspace lead to the copy, and those to dependencies through a link to the real ones.
 */
export async function copySource(
  root: string,
  edits: readonly Edit[],
): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'qarr-mutant-'));
  for (const folder of FOLDERS) {
    await cp(join(root, folder), join(path, folder), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => !file.endsWith('.test.ts'),
    });
  }
  await symlink(join(root, 'node_modules'), join(path, 'node_modules'));
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    for (const edit of edits) await carryOut(path, edit);
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, remove };
}

async function carryOut(path: string, { file, text, replacement }: Edit): Promise<void> {
  const parts = (await readFile(join(path, file), 'utf8')).split(text);
  if (parts.length !== 2) {
    throw new Error(`${file} has ${parts.length - 1} times, not once: ${text}`);
  }
  await writeFile(join(path, file), parts.join(replacement));
}
