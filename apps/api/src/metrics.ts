/** What the API counts. Names and labels are bounded. */
import type { RedisMemory } from '@qarr/job-store';
import { estimateWaits, jobClassSchema } from '@qarr/router-core';
import type { ErrorCode, Rerouted, TierSnapshot } from '@qarr/router-core';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { WebhookOutcome } from './webhooks/deliver.ts';

/** A refusal shall take less than 10 ms. */
const REFUSAL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

export interface ApiMetrics {
  readonly registry: Registry;
  routed(route: { tier: string; reasons: readonly string[] }): void;
  rerouted(move: Rerouted & { to: string }): void;
  refused(code: ErrorCode): void;
  /** From the arrival of a request to its refusal for want of capacity, in milliseconds. */
  refusalTook(ms: number): void;
  cached(tier: string): void;
  streamOpened(): void;
  streamClosed(): void;
  webhook(outcome: WebhookOutcome): void;
}

export function createApiMetrics({
  snapshots,
  memory = () => null,
  webhookBacklog,
}: {
  snapshots: () => readonly TierSnapshot[];
  memory?: () => RedisMemory | null;
  webhookBacklog: () => Promise<number>;
}): ApiMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const routed = new Counter({
    name: 'qarr_routed_total',
    help: 'Accepted requests, by tier and by the first reason for it',
    labelNames: ['tier', 'reason'] as const,
    registers,
  });
  const refused = new Counter({
    name: 'qarr_refused_total',
    help: 'Requests that were answered with an error, by its code',
    labelNames: ['code'] as const,
    registers,
  });
  const rerouted = new Counter({
    name: 'qarr_fallback_total',
    help: 'Jobs that another tier has taken than that of their route, by the reason',
    labelNames: ['from', 'to', 'reason'] as const,
    registers,
  });
  const refusal = new Histogram({
    name: 'qarr_refusal_seconds',
    help: 'From the arrival of a request to its refusal for want of capacity',
    buckets: REFUSAL_SECONDS,
    registers,
  });
  const cached = new Counter({
    name: 'qarr_cached_answers_total',
    help: 'Jobs that were given the answer of an earlier one',
    labelNames: ['tier'] as const,
    registers,
  });
  const connections = new Gauge({
    name: 'qarr_sse_connections',
    help: 'Open event streams',
    registers,
  });
  const depth = new Gauge({
    name: 'qarr_queue_depth',
    help: 'Jobs that wait, by class',
    labelNames: ['tier', 'class'] as const,
    registers,
    collect() {
      for (const { name, load } of snapshots()) {
        for (const jobClass of jobClassSchema.options) {
          this.set({ tier: name, class: jobClass }, load.waiting[jobClass].jobs);
        }
      }
    },
  });
  depth.reset();
  const running = new Gauge({
    name: 'qarr_jobs_running',
    help: 'Jobs that run, by class',
    labelNames: ['tier', 'class'] as const,
    registers,
    collect() {
      for (const { name, load } of snapshots()) {
        for (const jobClass of jobClassSchema.options) {
          this.set({ tier: name, class: jobClass }, load.running[jobClass].jobs);
        }
      }
    },
  });
  running.reset();
  const alert = new Gauge({
    name: 'qarr_queue_alert',
    help: 'The queue-depth alert of a tier: 1 while it is raised',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      for (const { name, load } of snapshots()) this.set({ tier: name }, load.isAlerting ? 1 : 0);
    },
  });
  alert.reset();
  const wait = new Gauge({
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
  wait.reset();
  const memoryBytes = new Gauge({
    name: 'qarr_redis_memory_bytes',
    help: 'Memory of Redis: used, and the limit above which no job is admitted, where it has one',
    labelNames: ['kind'] as const,
    registers,
    collect() {
      this.reset();
      const known = memory();
      if (known === null) return;
      this.set({ kind: 'used' }, known.usedBytes);
      this.set({ kind: 'limit' }, known.limitBytes);
    },
  });
  memoryBytes.reset();
  const webhooks = new Counter({
    name: 'qarr_webhook_deliveries_total',
    help: 'Deliveries of webhooks, and webhooks that were given up, by outcome',
    labelNames: ['outcome'] as const,
    registers,
  });
  const backlog = new Gauge({
    name: 'qarr_webhook_backlog',
    help: 'Webhooks that are still to be delivered, by any replica',
    registers,
    async collect() {
      // Redis is gone for now: what was last known stands.
      await webhookBacklog().then(
        (entries) => this.set(entries),
        () => {},
      );
    },
  });
  backlog.set(0);

  return {
    registry,
    routed: ({ tier, reasons }) => routed.inc({ tier, reason: reasons[0] ?? 'default' }),
    rerouted: ({ from, to, reason }) => rerouted.inc({ from, to, reason }),
    refused: (code) => refused.inc({ code }),
    refusalTook: (ms) => refusal.observe(ms / 1_000),
    cached: (tier) => cached.inc({ tier }),
    streamOpened: () => connections.inc(),
    streamClosed: () => connections.dec(),
    webhook: (outcome) => webhooks.inc({ outcome }),
  };
}
