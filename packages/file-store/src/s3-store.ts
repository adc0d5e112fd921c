import type { FileStore } from './file-store.ts';

export interface S3Options {
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  readonly prefix: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly isPathStyle: boolean;
  readonly timeoutMs: number;
}

export function createS3Store(_options: S3Options): FileStore {
  throw new Error('not yet');
}
