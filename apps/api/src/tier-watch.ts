/**
 * What this replica knows of the tiers: refreshed every second, and by what each submission finds, so
 * that routing and admitting a request ask nobody. A tier's context window and model names are what
 * its live engines say they are.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProducerStore } from '@qarr/job-store';
import { NO_LOAD, depthOf, tierSnapshot } from '@qarr/router-core';
import type { RoutingPolicy, TierLoad, TierSnapshot, TierStatus } from '@qarr/router-core';

const REFRESH_MS = 1_000;

export interface TierWatch {
  statuses(): readonly TierStatus[];
  /** From the least to the most precise. */
  snapshots(): readonly TierSnapshot[];
  /** Since all of this was read from Redis; infinite before the first time. */
  ageMs(): number;
  /** The configured policy with the context windows that the engines have told. */
  policy(): RoutingPolicy;
  /** Ids of the models that are served. */
  servedModels(): string[];
  /** Takes note of a load that somebody has just read. */
  learn(tier: string, load: TierLoad): void;
  refresh(): Promise<void>;
  /** Refreshes what is older than this. Returns whether it is newer now. */
  freshen(ageMsMax: number): Promise<boolean>;
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
  let snapshots = statuses.map(tierSnapshot);
  let policy = configured;
  let refreshedAtMs = Number.NEGATIVE_INFINITY;
  let freshening: Promise<boolean> | null = null;

  async function refresh(): Promise<void> {
    const askedAtMs = performance.now();
    know(await Promise.all(configured.tiers.map(({ name }) => store.status(name))));
    refreshedAtMs = askedAtMs;
    policy = {
      ...configured,
      tiers: configured.tiers.map((tier) => withLearntWindow(tier, statuses)),
    };
  }

  const ageMs = () => performance.now() - refreshedAtMs;

  function know(all: readonly TierStatus[]): void {
    statuses = all;
    snapshots = all.map(tierSnapshot);
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
    snapshots: () => snapshots,
    ageMs,
    policy: () => policy,
    servedModels: () => [
      ...new Set(statuses.flatMap(({ workers }) => workers.map((worker) => worker.model))),
    ],
    learn(tier, load) {
      know(
        statuses.map((status) =>
          status.name === tier ? { ...status, load, depth: depthOf(load) } : status,
        ),
      );
    },
    refresh,
    async freshen(ageMsMax) {
      if (ageMs() <= ageMsMax) return false;
      // Many ask at once, and one answer is good for all.
      freshening ??= refresh()
        .then(
          () => true,
          () => false,
        )
        .finally(() => (freshening = null));
      return freshening;
    },
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
