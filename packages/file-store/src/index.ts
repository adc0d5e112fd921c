export { createFolderStore } from './folder-store.ts';
export { FileStoreError } from './file-store.ts';
export type { FileStore, FileStoreProblem, StoredContent, Written } from './file-store.ts';
