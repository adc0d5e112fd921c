/** Files: stored, looked up, listed, read and deleted. */
import type { StoredFile } from './batch-answers.ts';
import type { Files } from './batch-calls.ts';
import { invalidOption } from './errors.ts';
import { readContent } from './file-content.ts';
import type { CallApi, Http } from './http.ts';
import type { CallOptions, FileRef } from './options.ts';
import type { FileUpload } from './requests.ts';
import { withRetries } from './retry.ts';
import type { Settings } from './settings.ts';
import { sleep } from './within.ts';

const PATH = '/v1/files';
/** What has none of its own: a Blob. */
const FILENAME = 'input.jsonl';

export function createFiles({
  http,
  call,
  settings,
}: {
  http: Http;
  call: CallApi;
  settings: Settings;
}): Files {
  async function get(file: FileRef, { signal }: CallOptions = {}): Promise<StoredFile> {
    return await call({ method: 'GET', path: pathOf(file), signal });
  }

  return {
    async create(upload, { signal } = {}) {
      const form = formOf(upload);
      const { uploadTimeoutMs: timeoutMs } = settings;
      const { body } = await withRetries(
        () => http.send({ method: 'POST', path: PATH, body: form, timeoutMs, signal }),
        { ...settings, signal, maySendAgain: ({ code, status }) => wasRefused(code, status) },
      );
      return body as StoredFile;
    },
    get,
    async list({ signal, ...query } = {}) {
      return await call({ method: 'GET', path: PATH, query, signal });
    },
    async *content(file, { start = 0, signal } = {}) {
      const { bytes } =
        typeof file === 'object' && 'bytes' in file ? file : await get(file, { signal });
      if (!Number.isInteger(start) || start < 0 || start > bytes) {
        throw invalidOption(`start must be a whole number from 0 to ${bytes}`);
      }
      yield* readContent({
        ...settings,
        open: (range, connection) =>
          http.open({ path: `${pathOf(file)}/content`, headers: range, signal: connection }),
        start,
        bytes,
        signal,
        sleep: (ms) => sleep(ms, signal),
        random: Math.random,
      });
    },
    async delete(file, { signal } = {}) {
      return await call({ method: 'DELETE', path: pathOf(file), signal });
    },
  };
}

/** By the API itself, which then has stored nothing. A proxy may have passed it on all the same. */
function wasRefused(code: string, status: number | null): boolean {
  return status !== null && code !== 'http_error';
}

function formOf({
  file,
  purpose = 'batch',
  filename,
  expires_after: expiry,
}: FileUpload): FormData {
  // Without the help of types it may be anything.
  if (!((file as unknown) instanceof Blob)) throw invalidOption('file must be a Blob or a File');
  const form = new FormData();
  form.append('purpose', purpose);
  if (expiry !== undefined) {
    form.append('expires_after[anchor]', expiry.anchor);
    form.append('expires_after[seconds]', String(expiry.seconds));
  }
  // Last, so that whoever reads it knows by then what it is for.
  form.append('file', file, filename ?? (file instanceof File ? file.name : FILENAME));
  return form;
}

function pathOf(file: FileRef): string {
  const given = file as FileRef | null | undefined;
  const id: unknown = typeof given === 'string' ? given : given?.id;
  if (typeof id === 'string' && id !== '') return `${PATH}/${encodeURIComponent(id)}`;
  throw invalidOption('It needs a file, or the id of one.');
}
