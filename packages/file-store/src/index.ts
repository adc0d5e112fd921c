export { createFolderStore } from './folder-store.ts';
export { createS3Store } from './s3-store.ts';
export type { S3StoreOptions } from './s3-store.ts';
export { FileStoreError } from './file-store.ts';
export type { FileStore, FileStoreProblem, StoredContent, Written } from './file-store.ts';
