/** What a worker counts. Names and labels are bounded; times are in seconds. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { JobClass, TerminalEvent } from '@qarr/router-core';
import type { ClaimedJob } from '@qarr/job-store';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export interface WorkerMetrics {
  readonly registry: Registry;
  started(job: ClaimedJob): void;
  firstToken(ms: number): void;
  nextToken(ms: number): void;
  ended(end: { event: TerminalEvent; class: JobClass }): void;
}

export function createWorkerMetrics({
  tier,
  slots,
}: {
  tier: string;
  slots: () => { running: number; free: number };
}): WorkerMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const jobs = new Counter({
    name: 'qarr_jobs_total',
    help: 'Jobs that ended, by outcome',
    labelNames: ['tier', 'class', 'outcome'] as const,
    registers,
  });
  const queueWait = histogram('qarr_queue_wait_seconds', 'From submission to the first start');
  const ttft = histogram('qarr_ttft_seconds', 'From the start of an attempt to its first text');
  const interToken = histogram('qarr_inter_token_seconds', 'Between two pieces of text');
  const tokens = new Counter({
    name: 'qarr_tokens_total',
    help: 'Tokens, as engines counted them',
    labelNames: ['tier', 'kind'] as const,
    registers,
  });
  const slotGauge = new Gauge({
    name: 'qarr_worker_slots',
    help: 'Places for jobs, by state',
    labelNames: ['tier', 'state'] as const,
    registers,
    collect() {
      const { running, free } = slots();
      this.set({ tier, state: 'running' }, running);
      this.set({ tier, state: 'free' }, free);
    },
  });
  slotGauge.set({ tier, state: 'running' }, 0);

  function histogram(name: string, help: string) {
    return new Histogram({
      name,
      help,
      labelNames: ['tier'] as const,
      buckets: SECONDS,
      registers,
    });
  }

  return {
    registry,
    started(job) {
      if (job.attempt === 1) queueWait.observe({ tier }, Math.max(0, job.queueWaitMs) / 1_000);
    },
    firstToken(ms) {
      ttft.observe({ tier }, ms / 1_000);
    },
    nextToken(ms) {
      interToken.observe({ tier }, ms / 1_000);
    },
    ended({ event, class: jobClass }) {
      jobs.inc({ tier, class: jobClass, outcome: event.type });
      if (event.usage === null) return;
      tokens.inc({ tier, kind: 'prompt' }, event.usage.prompt_tokens);
      tokens.inc({ tier, kind: 'completion' }, event.usage.completion_tokens);
    },
  };
}
