/** Starts a simulator that stands in for an engine of a tier. */
import { APPLICATIONS } from './applications.ts';
import { CliError } from '../cli-error.ts';
import type { TierPlan, UpConfig } from '../config.ts';
import { isRecord } from '../is-record.ts';
import { poll } from '../processes/poll.ts';
import type { SupervisedProcess } from '../processes/supervised-process.ts';
import type { Supervisor } from '../processes/supervisor.ts';

/** The card and quantization that each tier of the default deployment would run on. */
const PROFILES: Readonly<Record<string, string>> = {
  fast: 'awq-24gb',
  balanced: 'fp8-l40s',
  precise: 'bf16-l40s',
};
const OTHER_PROFILE = 'h100-bf16';

const LISTENS_WITHIN_MS = 20_000;
const POLL_MS = 20;

export interface Simulator {
  readonly process: SupervisedProcess;
  readonly profile: string;
  /** Its URL, as soon as it listens. */
  readonly listening: Promise<string>;
}

/**
 * It finds its own port, and keeps it when it is started again, because its worker knows it by
 * that.
 */
export function startSimulator({
  name,
  tier,
  seed,
  config,
  env,
  supervisor,
  signal,
}: {
  name: string;
  tier: TierPlan;
  seed: number;
  config: UpConfig;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  signal: AbortSignal;
}): Simulator {
  const profile = PROFILES[tier.name] ?? OTHER_PROFILE;
  let port = '0';
  const simulator = supervisor.start({
    name,
    command: process.execPath,
    args: () => [
      APPLICATIONS.simulator,
      `--port=${port}`,
      `--profile=${profile}`,
      `--seed=${seed}`,
      `--max-model-len=${tier.maxModelLen}`,
      `--served-model-name=${tier.model ?? `simulated-${tier.name}`}`,
      ...(config.simTimeScale === null ? [] : [`--time-scale=${config.simTimeScale}`]),
    ],
    cwd: config.folder,
    env,
    whenItEnds: 'restart',
  });
  const waitUntilItListens = async () => {
    const url = await poll({
      ask: () => listeningUrl(simulator.output()),
      everyMs: POLL_MS,
      limitMs: LISTENS_WITHIN_MS,
      onLimit: () =>
        new CliError(
          `${simulator.name} does not listen within ${LISTENS_WITHIN_MS / 1000} s; its log is ${simulator.logFile}`,
        ),
      signal,
    });
    port = new URL(url).port;
    return url;
  };
  return { process: simulator, profile, listening: waitUntilItListens() };
}

/** From the line of JSON that a simulator writes when it is ready. */
function listeningUrl(output: string): string | undefined {
  for (const line of output.split('\n').slice(0, -1)) {
    if (!line.startsWith('{')) continue;
    const record = parseRecord(line);
    if (record['event'] === 'listening' && typeof record['url'] === 'string') return record['url'];
  }
  return undefined;
}

function parseRecord(line: string): Record<string, unknown> {
  try {
    const record: unknown = JSON.parse(line);
    return isRecord(record) ? record : {};
  } catch {
    // Some other output that begins with a brace.
    return {};
  }
}
