/** What the SDK throws, as the few things that matter here. */
import { FileStoreError } from './file-store.ts';

const NO_ROOM = /^(?:XMinioStorageFull|QuotaExceeded|InsufficientStorage|EntityTooLarge)$/;

export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : '';
}

export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket';
}

export async function orProblem<Answer>(answer: Promise<Answer>): Promise<Answer> {
  return answer.catch((error: unknown) => {
    throw problemOf(error);
  });
}

/** What is said of it may name keys and objects: only the code is kept. */
export function problemOf(error: unknown): FileStoreError {
  if (error instanceof FileStoreError) return error;
  const given = error instanceof Error && 'code' in error ? error.code : nameOf(error);
  const code = typeof given === 'string' && /^\w{1,64}$/.test(given) ? given : 'unknown';
  const cause = Object.assign(new Error(code), { code });
  if (statusOf(error) === 507 || NO_ROOM.test(nameOf(error))) {
    return new FileStoreError('full', 'The file store has no room.', { cause });
  }
  return new FileStoreError('unavailable', 'The file store does not answer.', { cause });
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('$metadata' in error)) return undefined;
  return (error.$metadata as { httpStatusCode?: number }).httpStatusCode;
}
