import { FileStoreError } from '@qarr/file-store';
import type { FileStoreProblem } from '@qarr/file-store';
import { QarrError } from '@qarr/router-core';
import type { ErrorCode } from '@qarr/router-core';

const CODES: Readonly<Record<FileStoreProblem, ErrorCode>> = {
  full: 'files_full',
  too_large: 'file_too_large',
  unavailable: 'files_unavailable',
};

/** What an error of the file store is to a client. All others are what they are. */
export function asClientProblem(error: unknown): unknown {
  if (!(error instanceof FileStoreError)) return error;
  return new QarrError(CODES[error.problem], { cause: error });
}
