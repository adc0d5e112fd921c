/**
 * What this replica knows of the tiers: refreshed every second, so that routing a request asks
 * nobody. A tier's context window and model names are what its live engines say they are.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProducerStore, QueuePlace } from '@qarr/job-store';
import { NO_LOAD, estimateWaitMs } from '@qarr/router-core';
import type { RoutingPolicy, TierStatus } from '@qarr/router-core';

const REFRESH_MS = 1_000;

export interface TierWatch {
  statuses(): readonly TierStatus[];
  /** The configured policy with the context windows that the engines have told. */
  policy(): RoutingPolicy;
  /** Ids of the models that are served. */
  servedModels(): string[];
  /** The place of a job that joins a tier's queue behind `depth` others. */
  placeAt(tier: string, depth: number): QueuePlace;
  refresh(): Promise<void>;
  stop(): void;
}

export function watchTiers({
  store,
  policy: configured,
}: {
  store: Pick<ProducerStore, 'status'>;
  policy: RoutingPolicy;
}): TierWatch {
  const stopping = new AbortController();
  let statuses: readonly TierStatus[] = configured.tiers.map(({ name }) => nothingKnown(name));
  let policy = configured;

  async function refresh(): Promise<void> {
    statuses = await Promise.all(configured.tiers.map(({ name }) => store.status(name)));
    policy = {
      ...configured,
      tiers: configured.tiers.map((tier) => withLearntWindow(tier, statuses)),
    };
  }

  async function refreshUntilStopped(): Promise<void> {
    while (!stopping.signal.aborted) {
      // What is known stays in force until Redis answers again.
      await refresh().catch(() => {});
      await sleep(REFRESH_MS, null, { signal: stopping.signal }).catch(() => {});
    }
  }
  void refreshUntilStopped();

  return {
    statuses: () => statuses,
    policy: () => policy,
    servedModels: () => [
      ...new Set(statuses.flatMap(({ workers }) => workers.map((worker) => worker.model))),
    ],
    placeAt(tier, depth) {
      const { workers } = statuses.find(({ name }) => name === tier) ?? nothingKnown(tier);
      return { position: depth + 1, estimatedWaitMs: estimateWaitMs({ depth, workers }) };
    },
    refresh,
    stop: () => stopping.abort(),
  };
}

function nothingKnown(name: string): TierStatus {
  return { name, depth: 0, load: NO_LOAD, workers: [] };
}

/** The smallest window of the tier's live engines: a job may land on any of them. */
function withLearntWindow<Tier extends { name: string; maxModelLen: number }>(
  tier: Tier,
  statuses: readonly TierStatus[],
): Tier {
  const workers = statuses.find(({ name }) => name === tier.name)?.workers ?? [];
  const learnt = workers.flatMap((worker) => worker.max_model_len ?? []);
  return learnt.length === 0 ? tier : { ...tier, maxModelLen: Math.min(...learnt) };
}
