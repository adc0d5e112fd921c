/** One engine, or several, for each tier: those that are given, or a simulator. */
import type { Cleanup } from '../processes/cleanup.ts';
import type { TierPlan, UpConfig } from '../config.ts';
import { requireGivenEngines } from './given-engine.ts';
import { startSimulator } from './simulator.ts';
import { STOP_SHARES_MS } from './stop-shares.ts';
import type { SupervisedProcess } from '../processes/supervised-process.ts';
import type { Supervisor } from '../processes/supervisor.ts';

export interface TierEngines {
  readonly tier: TierPlan;
  /** At least one. */
  readonly urls: readonly string[];
  /** For people: `simulated awq-24gb`, or the URLs. */
  readonly description: string;
  readonly warnings: readonly string[];
}

/** In the order of the tiers. All of them start at once, and stop at once. */
export function startEngines({
  config,
  cleanup,
  ...deps
}: {
  config: UpConfig;
  env: NodeJS.ProcessEnv;
  supervisor: Supervisor;
  cleanup: Cleanup;
  signal: AbortSignal;
}): Promise<TierEngines[]> {
  const simulators: SupervisedProcess[] = [];
  cleanup.add(async () => {
    await Promise.all(simulators.map((simulator) => simulator.stop(STOP_SHARES_MS.simulator)));
  });
  return Promise.all(
    config.tiers.map(async (tier, index): Promise<TierEngines> => {
      if (tier.engineUrls.length > 0) {
        const { engineUrls: urls, engineSource: source, engineApiKey: apiKey } = tier;
        const warnings = await requireGivenEngines({ urls, source, apiKey, signal: deps.signal });
        return { tier, urls, description: urls.join(', '), warnings };
      }
      const simulator = startSimulator({ tier, seed: index + 1, config, ...deps });
      simulators.push(simulator.process);
      const url = await simulator.listening;
      return { tier, urls: [url], description: `simulated ${simulator.profile}`, warnings: [] };
    }),
  );
}
