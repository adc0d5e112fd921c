/**
 * What a replica tells of the whole system: its tiers, Redis, and what is still to be done. Each
 * replica tells the same; what it cannot read at this moment stands as it was last known, for a while.
 */
import type { Backlog, RedisMemory } from '@qarr/job-store';
import { addGauge } from '@qarr/process';
import { estimateWaits, jobClassSchema } from '@qarr/router-core';
import type { TierSnapshot, TierStatus } from '@qarr/router-core';
import type { Registry } from 'prom-client';

/** Of all replicas the largest counts: one that has lost Redis must not hold up what others know better. */
const KNOWN_MS_MAX = 30_000;

export interface SystemGaugeSources {
  /** Since what this process knows of the tiers and of Redis was read. */
  readonly ageMs?: () => number;
  readonly snapshots: () => readonly TierSnapshot[];
  readonly statuses?: () => readonly TierStatus[];
  readonly memory?: () => RedisMemory | null;
  readonly webhookBacklog: () => Promise<number>;
  readonly backlog?: () => Promise<Backlog>;
}

export function registerSystemGauges(
  registers: Registry[],
  {
    ageMs = () => 0,
    snapshots,
    statuses = () => [],
    memory = () => null,
    webhookBacklog,
    backlog = async () => ({ jobs: 0, batches: 0, overdueMs: 0 }),
  }: SystemGaugeSources,
): void {
  const isCurrent = () => ageMs() <= KNOWN_MS_MAX;
  registerTierGauges(registers, {
    snapshots: () => (isCurrent() ? snapshots() : []),
    statuses: () => (isCurrent() ? statuses() : []),
  });
  registerBacklogGauges(registers, { webhookBacklog, backlog, isCurrent });
  addGauge({
    name: 'qarr_redis_memory_bytes',
    help: 'Memory of Redis: used, and the limit above which no job is admitted, where it has one',
    labelNames: ['kind'] as const,
    registers,
    collect() {
      const known = isCurrent() ? memory() : null;
      this.reset();
      if (known === null) return;
      this.set({ kind: 'used' }, known.usedBytes);
      if (known.limitBytes !== null) this.set({ kind: 'limit' }, known.limitBytes);
    },
  });
}

function registerTierGauges(
  registers: Registry[],
  { snapshots, statuses }: Required<Pick<SystemGaugeSources, 'snapshots' | 'statuses'>>,
): void {
  const byClass = [
    { name: 'qarr_queue_depth', help: 'Jobs that wait, by class', kind: 'waiting' },
    { name: 'qarr_jobs_running', help: 'Jobs that run, by class', kind: 'running' },
  ] as const;
  for (const { name, help, kind } of byClass) {
    addGauge({
      name,
      help,
      labelNames: ['tier', 'class'] as const,
      registers,
      collect() {
        this.reset();
        for (const { name: tier, load } of snapshots()) {
          for (const jobClass of jobClassSchema.options) {
            this.set({ tier, class: jobClass }, load[kind][jobClass].jobs);
          }
        }
      },
    });
  }
  addGauge({
    name: 'qarr_queue_alert',
    help: 'The queue-depth alert of a tier: 1 while it is raised',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      this.reset();
      for (const { name, load } of snapshots()) this.set({ tier: name }, load.isAlerting ? 1 : 0);
    },
  });
  addGauge({
    name: 'qarr_estimated_wait_seconds',
    help: 'How long the last job of a class may wait that comes now, where somebody can tell',
    labelNames: ['tier', 'class'] as const,
    registers,
    collect() {
      this.reset();
      for (const tier of snapshots()) {
        const waits = estimateWaits(tier);
        for (const jobClass of jobClassSchema.options) {
          const waitMs = waits[jobClass];
          if (waitMs !== null) this.set({ tier: tier.name, class: jobClass }, waitMs / 1_000);
        }
      }
    },
  });
  addGauge({
    name: 'qarr_tier_workers',
    help: 'Workers of a tier whose heartbeats come',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      this.reset();
      for (const { name, workers } of statuses()) this.set({ tier: name }, workers.length);
    },
  });
}

function registerBacklogGauges(
  registers: Registry[],
  {
    webhookBacklog,
    backlog,
    isCurrent,
  }: Required<Pick<SystemGaugeSources, 'webhookBacklog' | 'backlog'>> & {
    isCurrent: () => boolean;
  },
): void {
  /** One for all that a page shows of it. */
  let reading: Promise<Backlog | null> | null = null;

  async function read(): Promise<Backlog | null> {
    const known = await backlog().catch(() => null);
    reading = null;
    return known;
  }

  function gauge(name: string, help: string, value: (known: Backlog) => number): void {
    addGauge({
      name,
      help,
      registers,
      async collect() {
        const known = await (reading ??= read());
        if (known !== null) this.set(value(known));
        else if (!isCurrent()) this.remove();
      },
    });
  }
  gauge(
    'qarr_jobs_open',
    'Jobs that have not ended, of all tiers, waiting or running',
    ({ jobs }) => jobs,
  );
  gauge('qarr_batches_open', 'Batches that are not over', ({ batches }) => batches);
  gauge(
    'qarr_jobs_overdue_seconds',
    'For how long the time of a job is up that nobody has ended, the longest; 0 for none',
    ({ overdueMs }) => overdueMs / 1_000,
  );
  addGauge({
    name: 'qarr_webhook_backlog',
    help: 'Webhooks that are still to be delivered, by any replica',
    registers,
    async collect() {
      await webhookBacklog().then(
        (entries) => this.set(entries),
        () => {
          if (!isCurrent()) this.remove();
        },
      );
    },
  });
}
