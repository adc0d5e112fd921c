/**
 * Where files lie. A name is a path of a few segments, such as `files/file-1f0c`; each is a whole
 * object that is written once, or replaced as a whole.
 */
import type { Readable } from 'node:stream';

export interface FileStore {
  /** Throws where nothing can be written there. */
  check(): Promise<void>;
  /**
   * Writes all of `content`: durable and whole when this resolves, and otherwise not there at all.
   * Throws a FileStoreError; what `content` throws, or the signal's reason, passes through.
   */
  write(
    name: string,
    content: AsyncIterable<Uint8Array>,
    options: { bytesMax: number; signal?: AbortSignal | undefined },
  ): Promise<Written>;
  /** From `start` up to, not including, `end`. Null where there is no such object. */
  read(
    name: string,
    range?: { start: number; end?: number | undefined },
  ): Promise<StoredContent | null>;
  /** Does nothing where there is none. */
  remove(name: string): Promise<void>;
  list(prefix: string): AsyncIterable<{ name: string; bytes: number; modifiedAtMs: number }>;
  /** Null where nobody can tell. */
  room(): Promise<{ freeBytes: number; totalBytes: number } | null>;
  /** Removes what writes have left that were cut off longer ago than this. */
  tidy(olderThanMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface Written {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

export interface StoredContent {
  /** Of the whole object, whatever the range. */
  readonly bytes: number;
  readonly content: Readable;
}

/** `full`: no room; `too_large`: more than bytesMax; `unavailable`: it does not answer, or fails. */
export type FileStoreProblem = 'full' | 'too_large' | 'unavailable';

export class FileStoreError extends Error {
  readonly problem: FileStoreProblem;

  constructor(problem: FileStoreProblem, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'FileStoreError';
    this.problem = problem;
  }
}
