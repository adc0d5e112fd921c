/** Starts the process that runs batches. */
import { APPLICATIONS } from './applications.ts';
import type { Cleanup } from '../processes/cleanup.ts';
import type { UpConfig } from '../config.ts';
import { DRAIN_MS, STOP_SHARES_MS } from './stop-shares.ts';
import type { Supervisor } from '../processes/supervisor.ts';

/** One is enough: another takes over only where this one is on another machine that is lost. */
export function startBatchRunner({
  config,
  opsPort,
  env,
  supervisor,
  cleanup,
}: {
  config: UpConfig;
  opsPort: number;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  cleanup: Cleanup;
}): void {
  const runner = supervisor.start({
    name: 'batch-runner',
    command: process.execPath,
    args: () => [APPLICATIONS.batchRunner],
    cwd: config.folder,
    env: {
      ...env,
      ...config.fileStoreSecrets,
      OPS_PORT: String(opsPort),
      QARR_DRAIN_MS: String(DRAIN_MS.batchRunner),
    },
    whenItEnds: 'restart',
  });
  cleanup.add(() => runner.stop(STOP_SHARES_MS.batchRunner));
}
