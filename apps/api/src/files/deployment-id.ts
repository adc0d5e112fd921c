/**
 * A file store belongs to one Redis: what no record names is removed from it. Both hold the id of the
 * deployment, which they are given together while there are no files yet.
 */
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import type { FileStore } from '@qarr/file-store';
import type { FileRecords } from '@qarr/job-store';

/** Of the object that holds it. */
const NAME = 'deployment';
const BYTES_MAX = 100;
const UNREADABLE = 'unreadable';

export interface Belonging {
  readonly inStore: string | null;
  readonly inRedis: string | null;
}

export interface BelongingDeps {
  readonly files: Pick<FileStore, 'read' | 'write' | 'list'>;
  readonly records: Pick<FileRecords, 'deployment' | 'nameDeployment'>;
}

/** Gives them an id where both are new. Throws what the store throws. */
export async function findBelonging({ files, records }: BelongingDeps): Promise<Belonging> {
  const inStore = await readId(files);
  const { id: inRedis, hasFiles } = await records.deployment();
  if (inStore !== null || hasFiles || (await hasObjects(files))) return { inStore, inRedis };
  const id = await records.nameDeployment(inRedis ?? randomUUID());
  await files.write(NAME, once(Buffer.from(id)), { bytesMax: BYTES_MAX });
  // Another deployment may have begun with this store at the same moment.
  return { inStore: await readId(files), inRedis: id };
}

export function isOurs({ inStore, inRedis }: Belonging): boolean {
  return inStore !== null && inStore === inRedis;
}

/** Certainly another's, or not the place where the files were. */
export function isForeign({ inStore, inRedis }: Belonging): boolean {
  return inStore !== null && inRedis !== null && inStore !== inRedis;
}

async function readId(files: BelongingDeps['files']): Promise<string | null> {
  const stored = await files.read(NAME);
  if (stored === null) return null;
  if (stored.bytes > BYTES_MAX) {
    stored.content.destroy();
    return UNREADABLE;
  }
  return (await text(stored.content)).trim() || UNREADABLE;
}

async function hasObjects(files: BelongingDeps['files']): Promise<boolean> {
  for (const prefix of ['files/', 'batches/']) {
    for await (const _ of files.list(prefix)) return true;
  }
  return false;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
