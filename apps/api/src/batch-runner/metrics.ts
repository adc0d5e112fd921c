/** What the runner counts. Names and labels are bounded. */
import { createJobEnds, createProcessRegistry } from '@qarr/process';
import type { CountJobEnd } from '@qarr/process';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import type { LineStanding } from './line-standings.ts';
import { LINE_STANDINGS } from './line-standings.ts';

/** From a write of some hundred bytes to one of some megabytes, on a slow disk. */
const COMMIT_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export interface RunnerMetrics {
  readonly registry: Registry;
  fed(tier: string): void;
  committed(commit: { lines: number; tookMs: number }): void;
  failed(): void;
  /** Counts the lines of a batch for as long as it is worked on. Returns how to end that. */
  watch(batchId: string, count: (standing: LineStanding) => number): () => void;
  leads(isLeading: boolean): void;
  /** The store has changed a job: counted if that is its end. */
  readonly changed: CountJobEnd;
}

export function createRunnerMetrics({
  windows,
  pingRedis = async () => {},
}: {
  windows: () => ReadonlyMap<string, number>;
  pingRedis?: () => Promise<unknown>;
}): RunnerMetrics {
  const registry = createProcessRegistry({ component: 'batch-runner', pingRedis });
  const registers = [registry];
  const watched = new Map<string, (standing: LineStanding) => number>();

  const lines = new Gauge({
    name: 'qarr_batch_lines',
    help: 'Lines of the batches that are worked on, by where they stand',
    labelNames: ['state'] as const,
    registers,
    collect() {
      for (const state of LINE_STANDINGS) {
        let sum = 0;
        for (const count of watched.values()) sum += count(state);
        this.set({ state }, sum);
      }
    },
  });
  lines.reset();
  const active = new Gauge({
    name: 'qarr_batches_active',
    help: 'Batches whose lines are fed and collected now',
    registers,
    collect() {
      this.set(watched.size);
    },
  });
  active.set(0);
  const window = new Gauge({
    name: 'qarr_batch_window',
    help: 'Lines of batches that may wait in a tier now',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      for (const [tier, size] of windows()) this.set({ tier }, size);
    },
  });
  window.reset();
  const leader = new Gauge({
    name: 'qarr_batch_lease',
    help: '1 in the runner that works, 0 in those that stand by',
    registers,
  });
  const fed = new Counter({
    name: 'qarr_batch_lines_fed_total',
    help: 'Lines that became jobs, by tier',
    labelNames: ['tier'] as const,
    registers,
  });
  const committed = new Counter({
    name: 'qarr_batch_lines_committed_total',
    help: 'Lines whose outcomes became durable',
    registers,
  });
  const took = new Histogram({
    name: 'qarr_batch_commit_seconds',
    help: 'To write finished lines to the file store, and to commit them',
    buckets: COMMIT_SECONDS,
    registers,
  });
  const failed = new Counter({
    name: 'qarr_batch_failures_total',
    help: 'Runs of batches that failed for an unknown reason, and are tried again',
    registers,
  });

  return {
    registry,
    fed: (tier) => fed.inc({ tier }),
    committed(commit) {
      committed.inc(commit.lines);
      took.observe(commit.tookMs / 1_000);
    },
    failed: () => failed.inc(),
    watch(batchId, count) {
      watched.set(batchId, count);
      return () => void watched.delete(batchId);
    },
    changed: createJobEnds(registers),
    leads: (isLeading) => leader.set(isLeading ? 1 : 0),
  };
}
