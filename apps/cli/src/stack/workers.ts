/** Starts the workers of every tier. */
import { APPLICATIONS } from './applications.ts';
import type { Cleanup } from '../processes/cleanup.ts';
import type { UpConfig } from '../config.ts';
import { nameOf } from './engines.ts';
import type { TierEngines } from './engines.ts';
import { DRAIN_MS, STOP_SHARES_MS } from './stop-shares.ts';
import type { SupervisedProcess } from '../processes/supervised-process.ts';
import type { Supervisor } from '../processes/supervisor.ts';

export interface TierWorker {
  readonly tierName: string;
  readonly process: SupervisedProcess;
}

/** The workers of a tier share its engines. They stop all at once. */
export function startWorkers({
  engines,
  config,
  opsPorts,
  env,
  supervisor,
  cleanup,
}: {
  engines: readonly TierEngines[];
  config: UpConfig;
  /** One for each of them, in order. */
  opsPorts: readonly number[];
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  cleanup: Cleanup;
}): TierWorker[] {
  const workers: TierWorker[] = [];
  cleanup.add(async () => {
    await Promise.all(workers.map((worker) => worker.process.stop(STOP_SHARES_MS.worker)));
  });
  for (const { tier, urls } of engines) {
    for (let index = 0; index < tier.workers; index++) {
      const apiKey = tier.engineApiKey;
      const supervised = supervisor.start({
        name: nameOf('worker', tier, index),
        command: process.execPath,
        args: () => [APPLICATIONS.worker, '--tier', tier.name],
        cwd: config.folder,
        env: {
          ...env,
          OPS_PORT: String(opsPorts[workers.length] ?? 0),
          QARR_DRAIN_MS: String(DRAIN_MS.worker),
          QARR_UPSTREAM_URL: shareOf(urls, { index, workers: tier.workers }).join(),
          ...(apiKey === null ? {} : { QARR_UPSTREAM_API_KEY: apiKey }),
        },
        whenItEnds: 'restart',
      });
      workers.push({ tierName: tier.name, process: supervised });
    }
  }
  return workers;
}

/** Each engine has its worker; where there are more workers, they take turns. */
export function shareOf(
  urls: readonly string[],
  { index, workers }: { index: number; workers: number },
): readonly string[] {
  const shares = Math.min(workers, urls.length);
  return urls.filter((_, engine) => engine % shares === index % shares);
}
