/**
 * Removes what nobody has any more: files whose time is over, and what crashes have left in the file
 * store. Only the runner with the lease does it; doing it twice does no harm.
 */
import type { FileStore } from '@qarr/file-store';
import type { ProducerStore } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import { isBatchOver } from '@qarr/router-core';
import { findBelonging, isOurs } from '../files/deployment-id.ts';
import { batchPrefix } from './segments.ts';

const FILES = 'files/';
const BATCHES = 'batches/';
/** Files whose time is over, and batches that are, in one round. */
const DUE_MAX = 100;
const UNFINISHED_MAX = 10_000;
/** An upload, or the end of a batch, takes less from its object to its record. */
const ORPHAN_AFTER_MS = 24 * 3_600_000;
/**
 * A Redis that has lost its last moment may know of a batch that it is not over: then its files are
 * written once more, of what it was made of.
 */
const LEFT_FOR_MS = 600_000;
/** No write is cut off for so long and then goes on. */
const CUT_OFF_AFTER_MS = 3_600_000;

const NOT_TIDIED =
  'what nothing names stays in the file store, which may belong to another Redis: give both the same id (docs/files.md, "Whose files")';

export interface Tidy {
  /** To be called about every minute. */
  expireFiles(): Promise<void>;
  /** To be called about every minute. */
  clearBatches(): Promise<void>;
  /** To be called about every hour. */
  removeOrphans(): Promise<void>;
}

export function createTidy({
  store,
  files,
  log,
  now = Date.now,
}: {
  store: Pick<ProducerStore, 'batches' | 'batchRuns' | 'files'>;
  files: FileStore;
  log: Pick<Logger, 'info' | 'warn'>;
  /** Milliseconds since the epoch, by the clock of the file store as far as possible. */
  now?: () => number;
}): Tidy {
  async function filesInUse(): Promise<Set<string>> {
    const inUse = new Set<string>();
    for (const id of await store.batchRuns.unfinished(UNFINISHED_MAX)) {
      const batch = await store.batches.get(id);
      if (batch !== null) inUse.add(batch.inputFileId);
    }
    return inUse;
  }

  async function isOrphan(name: string): Promise<boolean> {
    if (name.startsWith(FILES)) return (await store.files.get(name.slice(FILES.length))) === null;
    const [batchId = ''] = name.slice(BATCHES.length).split('/', 1);
    const batch = await store.batches.get(batchId);
    return batch === null || isBatchOver(batch.state);
  }

  return {
    async expireFiles() {
      // Mostly there is none, and what batches read needs not be looked up.
      if ((await store.files.due(1)).length === 0) return;
      const inUse = await filesInUse();
      for (const id of await store.files.due(DUE_MAX + inUse.size)) {
        // A batch reads it to its end.
        if (inUse.has(id)) continue;
        await files.remove(`${FILES}${id}`);
        await store.files.remove(id);
      }
    },

    async clearBatches() {
      const runs = store.batchRuns;
      for (const id of await runs.leftovers({ overForMs: LEFT_FOR_MS, limit: DUE_MAX })) {
        const batch = await store.batches.get(id);
        // One that is not over any more is not yet over, to a Redis that has lost its last moment.
        if (batch === null || isBatchOver(batch.state)) await removeLeftovers(id, files);
        await runs.cleared(id);
      }
    },

    async removeOrphans() {
      await files.tidy(CUT_OFF_AFTER_MS);
      // What this Redis does not know may be known by another one.
      const belonging = await findBelonging({ files, records: store.files });
      if (!isOurs(belonging)) {
        const { inStore, inRedis } = belonging;
        log.warn({ in_store: inStore, in_redis: inRedis }, NOT_TIDIED);
        return;
      }
      const inUse = await filesInUse();
      for (const prefix of [FILES, BATCHES]) {
        for await (const { name, modifiedAtMs } of files.list(prefix)) {
          if (now() - modifiedAtMs < ORPHAN_AFTER_MS) continue;
          if (!inUse.has(name.slice(FILES.length)) && (await isOrphan(name))) {
            await files.remove(name);
            log.info({ name }, 'an object that nothing names was removed from the file store');
          }
        }
      }
    },
  };
}

/** What a batch that is over was made of. */
async function removeLeftovers(
  batchId: string,
  files: Pick<FileStore, 'list' | 'remove'>,
): Promise<void> {
  for await (const { name } of files.list(batchPrefix(batchId))) await files.remove(name);
}
