/**
 * Looks after the jobs of tiers that take none: moves those to another tier that would be too late
 * where they are. Every replica does it; a job is moved once, whoever comes first.
 */
import type { PlacedJob, ProducerStore } from '@qarr/job-store';
import { logJobChange } from '@qarr/process';
import type { Logger, Tracing } from '@qarr/process';
import { planMoves, takesNone } from '@qarr/router-core';
import type { AdmissionOptions, MoveReason, TierSnapshot } from '@qarr/router-core';
import { traceFallback } from './fallback-span.ts';
import type { ApiMetrics } from './metrics.ts';
import type { TierWatch } from './tier-watch.ts';

/** Records read at once: Redis is kept from others for no longer than a millisecond. */
const PAGE = 250;
/** Of each tier in one round. Of more jobs that wait, each has its turn every few rounds. */
const PAGES_PER_ROUND = 4;
/** Each is several round trips. */
const MOVES_PER_ROUND = 50;

export interface Steward {
  /** To be called every second. */
  round(): Promise<void>;
}

export function createSteward({
  store,
  watch,
  metrics,
  options,
  tracing,
  log,
  now = () => performance.now(),
}: {
  store: Pick<ProducerStore, 'waitingIn' | 'move'>;
  watch: Pick<TierWatch, 'snapshots' | 'learn'>;
  metrics: Pick<ApiMetrics, 'rerouted'>;
  options: AdmissionOptions;
  tracing: Pick<Tracing, 'span'>;
  log: Pick<Logger, 'info' | 'warn'>;
  /** Milliseconds. */
  now?: () => number;
}): Steward {
  /** Since when a tier has had no slot, by its name. */
  const slotlessSinceMs = new Map<string, number>();
  /** Where the next page of a tier begins. */
  const nextPage = new Map<string, number>();

  function withoutSlotsMs({ name, slots }: TierSnapshot): number {
    if (slots > 0) {
      slotlessSinceMs.delete(name);
      return 0;
    }
    const since = slotlessSinceMs.get(name) ?? now();
    slotlessSinceMs.set(name, since);
    return now() - since;
  }

  async function relieve(from: TierSnapshot, reason: MoveReason): Promise<void> {
    const jobs = await readSome(from.name);
    const moves = planMoves(jobs, { from, tiers: watch.snapshots(), options });
    /** Tiers that take no more in this round. */
    const full = new Set<string>();
    for (const { job, to, limits } of moves.slice(0, MOVES_PER_ROUND)) {
      if (full.has(to)) continue;
      const outcome = await store.move(job, { to, reason, limits });
      if (outcome.kind === 'full') {
        full.add(to);
        watch.learn(to, outcome.load);
      }
      if (outcome.kind !== 'moved') continue;
      metrics.rerouted({ from: from.name, to, reason });
      traceFallback(tracing, { from: from.name, to, reason, parent: job.traceparent });
      const { jobId, requestId, traceparent, class: jobClass, attempt } = job;
      const moved = { jobId, requestId, traceparent, class: jobClass, attempt, tier: to };
      logJobChange(log, { ...moved, to: 'rerouted' }, { from: from.name, reason });
    }
  }

  async function readSome(tier: string): Promise<PlacedJob[]> {
    const jobs: PlacedJob[] = [];
    let from: number | null = nextPage.get(tier) ?? 0;
    for (let page = 0; page < PAGES_PER_ROUND && from !== null; page += 1) {
      const found = await store.waitingIn(tier, { from, count: PAGE });
      jobs.push(...found.jobs);
      from = found.next;
    }
    nextPage.set(tier, from ?? 0);
    return jobs;
  }

  return {
    async round() {
      for (const tier of watch.snapshots()) {
        const reason = takesNone(tier, { withoutSlotsMs: withoutSlotsMs(tier) });
        const { interactive, standard } = tier.load.waiting;
        if (reason === null || interactive.jobs + standard.jobs === 0) nextPage.delete(tier.name);
        else await relieve(tier, reason);
      }
    },
  };
}
