/** What can be done with files and batches. */
import type {
  Batch,
  BatchList,
  BatchResults,
  DeletedFile,
  FileList,
  StoredFile,
} from './batch-answers.ts';
import type {
  BatchListOptions,
  BatchRef,
  BatchResultsOptions,
  CallOptions,
  ContentOptions,
  FileListOptions,
  FileRef,
  SubmitOptions,
} from './options.ts';
import type { BatchRequest, FileUpload } from './requests.ts';

/** All throw a `QarrClientError`. */
export interface Files {
  /**
   * Resolves when the file is stored whole. Of what got no answer nobody knows whether it was: only
   * what the API has refused is sent again.
   */
  create(upload: FileUpload, options?: CallOptions): Promise<StoredFile>;
  get(file: FileRef, options?: CallOptions): Promise<StoredFile>;
  /** A page, the newest first unless it is said otherwise. */
  list(options?: FileListOptions): Promise<FileList>;
  /** Its bytes, over any number of connections, to the last one: none is left out or given twice. */
  content(file: FileRef, options?: ContentOptions): AsyncGenerator<Uint8Array, void, undefined>;
  delete(file: FileRef, options?: CallOptions): Promise<DeletedFile>;
}

/** All throw a `QarrClientError`. */
export interface Batches {
  /** Resolves when it is accepted. Sent again as often as it must, it makes one batch. */
  create(request: BatchRequest, options?: SubmitOptions): Promise<Batch>;
  get(batch: BatchRef, options?: CallOptions): Promise<Batch>;
  /** A page, the newest first. */
  list(options?: BatchListOptions): Promise<BatchList>;
  /** Outcomes that are there already are kept. Harmless while it is being cancelled. */
  cancel(batch: BatchRef, options?: CallOptions): Promise<Batch>;
  /** A page of its lines' outcomes, also before it is over. */
  results(batch: BatchRef, options?: BatchResultsOptions): Promise<BatchResults>;
  /** The batch when it is over, however it is: look at `status`. */
  wait(batch: BatchRef, options?: CallOptions): Promise<Batch>;
}
