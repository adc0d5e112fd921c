/** What the API counts. Names and labels are bounded. */
import { createJobEnds, createProcessRegistry } from '@qarr/process';
import type { CountJobEnd } from '@qarr/process';
import { ERROR_TABLE } from '@qarr/router-core';
import type { ErrorCode, Rerouted } from '@qarr/router-core';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { registerSystemGauges } from './system-gauges.ts';
import type { SystemGaugeSources } from './system-gauges.ts';
import type { WebhookOutcome } from './webhooks/deliver.ts';

/** A refusal shall take less than 10 ms. */
const REFUSAL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];
/** From an idle system on a fast network to a round that has 500 jobs to end. */
const SWEEP_SECONDS = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export interface ApiMetrics {
  readonly registry: Registry;
  routed(route: { tier: string; reasons: readonly string[] }): void;
  rerouted(move: Rerouted & { to: string }): void;
  refused(code: ErrorCode): void;
  /** From the arrival of a request to its refusal for want of capacity, in milliseconds. */
  refusalTook(ms: number): void;
  cached(tier: string): void;
  /** The store has changed a job: counted if that is its end. */
  readonly changed: CountJobEnd;
  streamOpened(): void;
  streamClosed(): void;
  webhook(outcome: WebhookOutcome): void;
  /** Counts an upload while it is under way, and how it ends. */
  upload<File extends { bytes: number }>(upload: Promise<File>): Promise<File>;
  /** Counts a round of the sweep. */
  sweep(round: Promise<void>): Promise<void>;
}

export function createApiMetrics({
  pingRedis = async () => {},
  ...sources
}: SystemGaugeSources & { pingRedis?: () => Promise<unknown> }): ApiMetrics {
  const registry = createProcessRegistry({ component: 'api', pingRedis });
  const registers = [registry];
  registerSystemGauges(registers, sources);

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
  for (const code of Object.keys(ERROR_TABLE)) refused.inc({ code }, 0);
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
  const changed = createJobEnds(registers);
  const connections = new Gauge({
    name: 'qarr_sse_connections',
    help: 'Open event streams',
    registers,
  });
  const webhooks = new Counter({
    name: 'qarr_webhook_deliveries_total',
    help: 'Deliveries of webhooks, and webhooks that were given up, by outcome',
    labelNames: ['outcome'] as const,
    registers,
  });
  const uploads = new Counter({
    name: 'qarr_uploads_total',
    help: 'Uploads of files that are over, by outcome',
    labelNames: ['outcome'] as const,
    registers,
  });
  const uploadsOpen = new Gauge({
    name: 'qarr_uploads_open',
    help: 'Uploads of files that are under way',
    registers,
  });
  const uploadBytes = new Counter({
    name: 'qarr_upload_bytes_total',
    help: 'Bytes of the files that were stored',
    registers,
  });
  const sweeps = new Histogram({
    name: 'qarr_sweep_seconds',
    help: 'Rounds of the sweep by this replica, also of those that failed',
    buckets: SWEEP_SECONDS,
    registers,
  });
  const sweepFailures = new Counter({
    name: 'qarr_sweep_failures_total',
    help: 'Rounds of the sweep that failed',
    registers,
  });
  const sweptAt = new Gauge({
    name: 'qarr_sweep_last_success_timestamp_seconds',
    help: "When this replica's last round of the sweep was done; its start before the first",
    registers,
  });
  sweptAt.setToCurrentTime();

  return {
    registry,
    routed: ({ tier, reasons }) => routed.inc({ tier, reason: reasons[0] ?? 'default' }),
    rerouted: ({ from, to, reason }) => rerouted.inc({ from, to, reason }),
    refused: (code) => refused.inc({ code }),
    refusalTook: (ms) => refusal.observe(ms / 1_000),
    cached: (tier) => cached.inc({ tier }),
    changed,
    streamOpened: () => connections.inc(),
    streamClosed: () => connections.dec(),
    webhook: (outcome) => webhooks.inc({ outcome }),
    async upload(upload) {
      uploadsOpen.inc();
      try {
        const file = await upload;
        uploads.inc({ outcome: 'stored' });
        uploadBytes.inc(file.bytes);
        return file;
      } catch (error) {
        uploads.inc({ outcome: 'refused' });
        throw error;
      } finally {
        uploadsOpen.dec();
      }
    },
    async sweep(round) {
      const end = sweeps.startTimer();
      try {
        await round;
        sweptAt.setToCurrentTime();
      } catch (error) {
        sweepFailures.inc();
        throw error;
      } finally {
        end();
      }
    },
  };
}
