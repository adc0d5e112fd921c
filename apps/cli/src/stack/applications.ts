/** Where the other processes of the workspace lie. */
import path from 'node:path';

const appsFolder = path.resolve(import.meta.dirname, '..', '..', '..');

export const APPLICATIONS = {
  api: path.join(appsFolder, 'api', 'src', 'main.ts'),
  batchRunner: path.join(appsFolder, 'api', 'src', 'batch-runner', 'main.ts'),
  /** The operator's tool for keys. */
  keys: path.join(appsFolder, 'api', 'src', 'keys', 'main.ts'),
  worker: path.join(appsFolder, 'worker', 'src', 'main.ts'),
  simulator: path.join(appsFolder, 'vllm-sim', 'src', 'main.ts'),
} as const;
