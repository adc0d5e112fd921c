/** Starts the API, and waits until it and a worker of every tier are there. */
import { APPLICATIONS } from './applications.ts';
import { CliError } from '../cli-error.ts';
import type { UpConfig } from '../config.ts';
import { isRecord } from '../is-record.ts';
import { lastWords } from '../processes/log-file.ts';
import { poll } from '../processes/poll.ts';
import { DRAIN_MS } from './stop-shares.ts';
import type { SupervisedProcess } from '../processes/supervised-process.ts';
import type { Supervisor } from '../processes/supervisor.ts';
import type { TierWorker } from './workers.ts';

const READY_WITHIN_MS = 30_000;
const POLL_MS = 50;
/** One question; the next one comes soon enough. */
const ANSWER_TIMEOUT_MS = 2000;

export function startApi({
  config,
  port,
  env,
  supervisor,
}: {
  config: UpConfig;
  port: number;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
}): SupervisedProcess {
  return supervisor.start({
    name: 'api',
    command: process.execPath,
    args: () => [APPLICATIONS.api],
    cwd: config.folder,
    env: {
      ...env,
      HOST: config.host,
      PORT: String(port),
      OPS_HOST: config.opsHost,
      OPS_PORT: String(config.opsPort),
      QARR_DRAIN_MS: String(DRAIN_MS.api),
      ...(config.webhookSecrets === null ? {} : { QARR_WEBHOOK_SECRETS: config.webhookSecrets }),
      ...config.keySecrets,
      ...config.fileStoreSecrets,
    },
    whenItEnds: 'restart',
  });
}

/**
 * Returns what the API warns of. Every worker must be ours and known by its pid: with a Redis that
 * is given, or after a run that was killed, others may be listed.
 */
export async function waitUntilReady({
  baseUrl,
  apiKey,
  api,
  workers,
  signal,
}: {
  baseUrl: string;
  /** One that may see all workers; null where none is asked for. */
  apiKey: string | null;
  api: SupervisedProcess;
  workers: readonly TierWorker[];
  signal: AbortSignal;
}): Promise<string[]> {
  let missing: SupervisedProcess[] = [api];
  return poll({
    ask: async () => {
      const pids = await livePids(baseUrl, { apiKey, signal });
      missing =
        pids === null
          ? [api]
          : workers.map((worker) => worker.process).filter((it) => !pids.has(it.pid() ?? 0));
      if (missing.length > 0) return undefined;
      const readiness = await ask(`${baseUrl}/readyz`, { apiKey, signal });
      return readiness === null ? undefined : listIn(readiness, 'warnings').map(String);
    },
    everyMs: POLL_MS,
    limitMs: READY_WITHIN_MS,
    onLimit: () => notReady(missing[0] ?? api),
    signal,
  });
}

function notReady(late: SupervisedProcess): CliError {
  const words = lastWords(late.output());
  return new CliError(
    `${late.name} is not ready within ${READY_WITHIN_MS / 1000} s${words === '' ? '' : `: ${words}`}; its log is ${late.logFile}`,
  );
}

/** The pids of all workers that the API sees; null while it does not answer. */
async function livePids(baseUrl: string, options: AskOptions): Promise<Set<number> | null> {
  const body = await ask(`${baseUrl}/v1/tiers`, options);
  if (body === null) return null;
  const workers = listIn(body, 'tiers').flatMap((tier) => listIn(tier, 'workers'));
  const pids = workers.map((worker) => (isRecord(worker) ? worker['pid'] : undefined));
  return new Set(pids.filter((pid) => typeof pid === 'number'));
}

function listIn(value: unknown, name: string): readonly unknown[] {
  const list = isRecord(value) ? value[name] : undefined;
  return Array.isArray(list) ? list : [];
}

interface AskOptions {
  readonly apiKey: string | null;
  readonly signal: AbortSignal;
}

/** The JSON of a 200; null for anything else. */
async function ask(url: string, { apiKey, signal }: AskOptions): Promise<unknown> {
  try {
    const response = await fetch(url, {
      headers: apiKey === null ? {} : { authorization: `Bearer ${apiKey}` },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    });
    if (response.status === 200) return await response.json();
    await response.body?.cancel();
    return null;
  } catch {
    // It does not listen yet, or is interrupted, which the caller's signal says.
    return null;
  }
}
