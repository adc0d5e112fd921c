/** What is known of the files that clients have stored; their content lies in the file store. */
import type { FilePurpose, NewFile, StoredFile } from '@qarr/router-core';

export interface FileLimits {
  /** Files of an owner at once. */
  readonly filesMax: number;
  /** Of an owner's files together. */
  readonly bytesMax: number;
}

export type FileCreation =
  | { readonly kind: 'created'; readonly file: StoredFile }
  /** A limit of the owner is against it. Nothing was written. */
  | { readonly kind: 'too_many' | 'too_large' };

export interface FileRecords {
  /** Null limits: for what a batch has left, which must not be lost. Writing it again is safe. */
  create(file: NewFile, limits: FileLimits | null): Promise<FileCreation>;
  /** Null also where its time is over. */
  get(fileId: string): Promise<StoredFile | null>;
  /** By creation time; `after`: the id of the last file of the page before. */
  list(options: {
    owner: string;
    purpose: FilePurpose | null;
    order: 'asc' | 'desc';
    limit: number;
    after: string | null;
  }): Promise<{ files: StoredFile[]; hasMore: boolean }>;
  /** Forgets it. Returns false where there is none. */
  remove(fileId: string): Promise<boolean>;
  /** Ids of files whose time is over, whose content is still to be removed; then they are forgotten. */
  due(limit: number): Promise<string[]>;
}
