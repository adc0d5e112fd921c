/** What the API counts. Names and labels are bounded. */
import type { RedisMemory } from '@qarr/job-store';
import type { ErrorCode, TierStatus } from '@qarr/router-core';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import type { WebhookOutcome } from './webhooks/deliver.ts';

export interface ApiMetrics {
  readonly registry: Registry;
  routed(route: { tier: string; reasons: readonly string[] }): void;
  refused(code: ErrorCode): void;
  streamOpened(): void;
  streamClosed(): void;
  webhook(outcome: WebhookOutcome): void;
}

export function createApiMetrics({
  statuses,
  memory = () => null,
  webhookBacklog,
}: {
  statuses: () => readonly TierStatus[];
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
  const connections = new Gauge({
    name: 'qarr_sse_connections',
    help: 'Open event streams',
    registers,
  });
  const depth = new Gauge({
    name: 'qarr_queue_depth',
    help: 'Jobs that wait',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      for (const status of statuses()) this.set({ tier: status.name }, status.depth);
    },
  });
  depth.reset();
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
    refused: (code) => refused.inc({ code }),
    streamOpened: () => connections.inc(),
    streamClosed: () => connections.dec(),
    webhook: (outcome) => webhooks.inc({ outcome }),
  };
}
