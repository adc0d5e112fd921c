/**
 * The life of an upload. Its id is announced, its content stored as it arrives, and its record
 * written last. Whatever goes wrong before that, nothing is left; of a process that dies in the
 * middle, the announcement says later what is to be removed.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FileStore } from '@qarr/file-store';
import type { ProducerStore } from '@qarr/job-store';
import { QarrError, contentOf, filePurposeSchema } from '@qarr/router-core';
import type { FilePurpose, StoredFile } from '@qarr/router-core';
import type { Drain } from '../drain.ts';
import type { FileConfig } from './file-config.ts';
import { readForm } from './read-form.ts';
import { asClientProblem } from './store-problem.ts';
import { tooMany, tooMuch } from './upload-gate.ts';
import type { Upload, UploadGate } from './upload-gate.ts';
import { isOutcomeUnknown } from '../unknown-outcome.ts';

/** Boundaries, headers of parts and fields; the rest is the file. */
const FORM_BYTES_MAX = 65_536;
const FILENAME_CHARS_MAX = 255;
const KEPT_SECONDS_MIN = 3_600;
const KEPT_SECONDS_MAX = 2_592_000;
/** For what comes after the content: an upload is not over when it is. */
const SPARE_MS = 600_000;

const ANCHOR = 'expires_after[anchor]';
const SECONDS = 'expires_after[seconds]';
const FIELDS: ReadonlySet<string> = new Set(['purpose', ANCHOR, SECONDS]);
const PURPOSES = filePurposeSchema.options.filter((purpose) => purpose !== 'batch_output');

export interface UploadDeps {
  readonly config: FileConfig;
  readonly files: FileStore;
  readonly store: Pick<ProducerStore, 'files'>;
  readonly gate: UploadGate;
  readonly drain: Pick<Drain, 'over'>;
}

export async function uploadFile(
  request: IncomingMessage,
  { owner, ...deps }: UploadDeps & { owner: string },
): Promise<StoredFile> {
  const { config, gate } = deps;
  const length = Number(request.headers['content-length'] ?? Number.NaN);
  if (length > config.fileBytesMax + FORM_BYTES_MAX) throw tooLarge(config.fileBytesMax);
  const bytes = Number.isNaN(length) ? null : length;
  const upload = await gate.enter(owner, bytes).catch((error: unknown) => {
    throw asClientProblem(error);
  });
  try {
    return await take(request, { owner, upload, ...deps });
  } finally {
    upload.leave();
  }
}

async function take(
  request: IncomingMessage,
  { owner, upload, config, files, store, drain }: UploadDeps & { owner: string; upload: Upload },
): Promise<StoredFile> {
  const id = `file-${randomUUID().replaceAll('-', '')}`;
  const name = contentOf(id);
  await store.files.announce(id, config.uploadMsMax + SPARE_MS);
  try {
    const form = await readForm(request, {
      names: FIELDS,
      bytesMax: config.fileBytesMax + FORM_BYTES_MAX,
      async store({ filename, content, fields }) {
        const purpose = fields.has('purpose') ? purposeIn(fields) : null;
        checkFilename(filename, purpose);
        const bytesMax = bytesMaxOf(purpose, config);
        return files.write(name, counted(content, upload), { bytesMax, signal: drain.over });
      },
    });
    const { fields, filename, stored } = form;
    const purpose = purposeIn(fields);
    checkFilename(filename, purpose);
    const bytesMax = bytesMaxOf(purpose, config);
    if (stored.bytes > bytesMax) throw tooLarge(bytesMax);
    const keptMs = keptMsIn(fields) ?? config.keptMs;
    const file = { id, owner, filename, purpose, ...stored, keptMs };
    const creation = await store.files.create(file, config.owner);
    if (creation.kind === 'created') return creation.file;
    throw creation.kind === 'too_many' ? tooMany(config.owner) : tooMuch(config.owner);
  } catch (error) {
    // Whether there is a record nobody knows then: if there is none, the announcement counts.
    const isUnknown = error instanceof QarrError && isOutcomeUnknown(error.code);
    if (!isUnknown) await forget(id, { files, store });
    if (drain.over.aborted) throw new QarrError('shutting_down', { cause: error });
    throw asClientProblem(error);
  }
}

async function* counted(content: AsyncIterable<Buffer>, upload: Upload): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    await upload.came(chunk.byteLength);
    yield chunk;
  }
}

/** What cannot be removed now is found when its announcement is due. */
async function forget(
  id: string,
  { files, store }: Pick<UploadDeps, 'files' | 'store'>,
): Promise<void> {
  try {
    await files.remove(contentOf(id));
    await store.files.remove(id);
  } catch {
    // As it says above.
  }
}

function purposeIn(fields: ReadonlyMap<string, string>): FilePurpose {
  const given = fields.get('purpose');
  const purpose = PURPOSES.find((one) => one === given);
  if (purpose !== undefined) return purpose;
  throw new QarrError('invalid_request', {
    param: 'purpose',
    message:
      given === undefined
        ? 'purpose is missing.'
        : `purpose must be one of ${PURPOSES.join(', ')}.`,
  });
}

function checkFilename(filename: string, purpose: FilePurpose | null): void {
  if (filename === '' || filename.length > FILENAME_CHARS_MAX) {
    throw new QarrError('invalid_request', {
      param: 'file',
      message: `file must have a name of at most ${FILENAME_CHARS_MAX} characters.`,
    });
  }
  if (purpose === 'batch' && !/\.jsonl$/i.test(filename)) {
    throw new QarrError('invalid_request', {
      param: 'file',
      message: 'Invalid file format for Batch API. Must be .jsonl',
    });
  }
}

function bytesMaxOf(purpose: FilePurpose | null, config: FileConfig): number {
  return purpose === 'batch' ? config.batchFileBytesMax : config.fileBytesMax;
}

function tooLarge(bytesMax: number): QarrError {
  return new QarrError('file_too_large', {
    param: 'file',
    message: `The file is larger than ${bytesMax} bytes.`,
  });
}

/** Null where the upload does not say. */
function keptMsIn(fields: ReadonlyMap<string, string>): number | null {
  const anchor = fields.get(ANCHOR);
  const seconds = fields.get(SECONDS);
  if (anchor === undefined && seconds === undefined) return null;
  if (anchor !== 'created_at') {
    throw new QarrError('invalid_request', {
      param: ANCHOR,
      message: `${ANCHOR} must be created_at.`,
    });
  }
  const number = /^\d{1,10}$/.test(seconds ?? '') ? Number(seconds) : Number.NaN;
  if (number >= KEPT_SECONDS_MIN && number <= KEPT_SECONDS_MAX) return number * 1_000;
  throw new QarrError('invalid_request', {
    param: SECONDS,
    message: `${SECONDS} must be a whole number from ${KEPT_SECONDS_MIN} to ${KEPT_SECONDS_MAX}.`,
  });
}
