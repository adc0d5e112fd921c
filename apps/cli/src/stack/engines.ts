/** The engines of each tier: those that are given, or a simulator for each of its workers. */
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
    config.tiers.map(async (tier, place): Promise<TierEngines> => {
      if (tier.engineUrls.length > 0) {
        const { engineUrls: urls, engineSource: source, engineApiKey: apiKey } = tier;
        const warnings = await requireGivenEngines({ urls, source, apiKey, signal: deps.signal });
        return { tier, urls, description: urls.join(', '), warnings };
      }
      const seed = place + 1;
      // A card more for each worker more. All of a tier speak alike, so that each can carry on what
      // another has begun.
      const own = Array.from({ length: tier.workers }, (_, index) => {
        const name = nameOf('simulator', tier, index);
        return startSimulator({ name, tier, seed, config, ...deps });
      });
      simulators.push(...own.map((simulator) => simulator.process));
      const urls = await Promise.all(own.map((simulator) => simulator.listening));
      const profile = own[0]?.profile ?? '';
      const times = own.length === 1 ? '' : ` × ${own.length}`;
      return { tier, urls, description: `simulated ${profile}${times}`, warnings: [] };
    }),
  );
}

/** What the processes of a tier are called: by number where there are several. */
export function nameOf(kind: string, tier: TierPlan, index: number): string {
  return tier.workers === 1 ? `${kind}-${tier.name}` : `${kind}-${tier.name}-${index + 1}`;
}
