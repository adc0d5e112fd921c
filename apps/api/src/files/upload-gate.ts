/** Which uploads are taken: as many at once as there may be, and as much as there is room for. */
import type { FileStore } from '@qarr/file-store';
import type { ProducerStore } from '@qarr/job-store';
import { QarrError } from '@qarr/router-core';
import type { FileConfig } from './file-config.ts';

/** Some of those that have the places are done by then. */
const RETRY_AFTER_MS = 2_000;
/** Of an upload that does not say how much it is, so much counts as written, and again when it has come. */
const STEP_BYTES = 16_777_216;

export interface UploadGate {
  /** Before anything of it is read. Throws where it may not come. `bytes`: null where nobody knows. */
  enter(owner: string, bytes: number | null): Promise<Upload>;
}

export interface Upload {
  /** So much has come. Throws where there is no room for more. */
  came(bytes: number): Promise<void>;
  leave(): void;
}

export function createUploadGate({
  config,
  files,
  store,
}: {
  config: Pick<FileConfig, 'uploadsMax' | 'freeShareMin' | 'owner'>;
  files: Pick<FileStore, 'room'>;
  store: Pick<ProducerStore, 'files'>;
}): UploadGate {
  const { uploadsMax, freeShareMin } = config;
  const ownerMax = Math.ceil(uploadsMax / 2);
  const open = new Set<{ owner: string; claimed: number }>();

  /** What the uploads that are under way may still write counts as written. */
  async function requireRoom(): Promise<void> {
    const room = await files.room();
    if (room === null) return;
    const claimed = [...open].reduce((sum, upload) => sum + upload.claimed, 0);
    if (room.freeBytes - claimed < room.totalBytes * freeShareMin) {
      throw new QarrError('files_full');
    }
  }

  return {
    async enter(owner, bytes) {
      const ofOwner = [...open].filter((upload) => upload.owner === owner).length;
      if (open.size >= uploadsMax || ofOwner >= ownerMax) {
        throw new QarrError('files_unavailable', {
          message: 'As many files are being uploaded as may be at once. Come back in a moment.',
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      const upload = { owner, claimed: bytes ?? STEP_BYTES };
      let written = 0;
      open.add(upload);
      try {
        await requireRoom();
        const { files: count, bytes: held } = await store.files.usage(owner);
        if (count >= config.owner.filesMax) throw tooMany(config.owner);
        if (held >= config.owner.bytesMax) throw tooMuch(config.owner);
      } catch (error) {
        open.delete(upload);
        throw error;
      }
      return {
        async came(more) {
          written += more;
          if (written <= upload.claimed) return;
          // What has been written is no room any more: it is not claimed twice.
          written = 0;
          await requireRoom();
        },
        leave: () => void open.delete(upload),
      };
    },
  };
}

export function tooMany({ filesMax }: Pick<FileConfig['owner'], 'filesMax'>): QarrError {
  return new QarrError('file_quota_exceeded', {
    message: `You may have ${filesMax} files at once. Delete some first.`,
  });
}

export function tooMuch({ bytesMax }: Pick<FileConfig['owner'], 'bytesMax'>): QarrError {
  return new QarrError('file_quota_exceeded', {
    message: `Your files together may have ${bytesMax} bytes. Delete some first.`,
  });
}
