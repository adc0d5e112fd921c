/** What a worker counts. Names and labels are bounded; times are in seconds. */
import { createJobEnds, createProcessRegistry } from '@qarr/process';
import type { CountJobEnd } from '@qarr/process';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Registry } from 'prom-client';
import { engineName } from '@qarr/router-core';
import type { BreakerName, JobClass, TerminalEvent, UpstreamStatus } from '@qarr/router-core';
import type { Burns, ClaimedJob } from '@qarr/job-store';

const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export interface WorkerMetrics {
  readonly registry: Registry;
  started(job: ClaimedJob): void;
  firstToken(ms: number): void;
  nextToken(ms: number): void;
  /** The store has changed a job by itself: counted if that is its end. */
  readonly changed: CountJobEnd;
  ended(end: { event: TerminalEvent; class: JobClass }): void;
  /** A job is tried again; `burns` is what the failed attempt has cost it. */
  retried(burns: Burns): void;
  /** This worker has found a job of the tier that had lost its worker. */
  stalled(): void;
  /** The breaker of an engine has become this. */
  onBreaker(upstream: string, to: BreakerName): void;
}

const BREAKER_VALUES: Readonly<Record<BreakerName, number>> = { closed: 0, half_open: 1, open: 2 };

const UPSTREAM_STATES: readonly UpstreamStatus['state'][] = [
  'starting',
  'warming',
  'ready',
  'suspect',
  'gone',
];

export function createWorkerMetrics({
  tier,
  host,
  slots,
  upstreams = () => [],
  pingRedis = async () => {},
}: {
  tier: string;
  /** Where this worker runs: a loopback address is another engine elsewhere. */
  host: string;
  /** `batch`: those that batches may have now. */
  slots: () => { running: number; free: number; batch: number };
  upstreams?: () => readonly UpstreamStatus[];
  pingRedis?: () => Promise<unknown>;
}): WorkerMetrics {
  const registry = createProcessRegistry({ component: 'worker', pingRedis });
  const registers = [registry];

  const countEnd = createJobEnds(registers, { tiers: [tier] });
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
  const batchSlots = new Gauge({
    name: 'qarr_worker_batch_slots',
    help: 'Places that batches may have now',
    labelNames: ['tier'] as const,
    registers,
    collect() {
      this.set({ tier }, slots().batch);
    },
  });
  batchSlots.set({ tier }, 0);
  const retries = new Counter({
    name: 'qarr_retries_total',
    help: 'Jobs that are tried again, by what the failed attempt has cost them',
    labelNames: ['tier', 'burns'] as const,
    registers,
  });
  for (const burns of ['try', 'spare'] as const) retries.inc({ tier, burns }, 0);
  const stalled = new Counter({
    name: 'qarr_jobs_stalled_total',
    help: 'Jobs whose worker died or stood still, found and given back by this worker',
    labelNames: ['tier'] as const,
    registers,
  });
  stalled.inc({ tier }, 0);
  const transitions = new Counter({
    name: 'qarr_breaker_transitions_total',
    help: "Changes of an engine's breaker, as this worker saw them",
    labelNames: ['tier', 'upstream', 'to'] as const,
    registers,
  });
  const nameOf = (url: string) => engineName(url, { host });
  registerUpstreamGauges({ tier, registers, upstreams, nameOf });

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
      const cause = 'error' in event ? event.error.code : undefined;
      countEnd({ tier, class: jobClass, to: event.type, cause });
      if (event.usage === null) return;
      tokens.inc({ tier, kind: 'prompt' }, event.usage.prompt_tokens);
      tokens.inc({ tier, kind: 'completion' }, event.usage.completion_tokens);
    },
    changed: countEnd,
    retried(burns) {
      retries.inc({ tier, burns });
    },
    stalled() {
      stalled.inc({ tier });
    },
    onBreaker(upstream, to) {
      transitions.inc({ tier, upstream: nameOf(upstream), to });
    },
  };
}

interface UpstreamGaugeSources {
  readonly tier: string;
  readonly registers: Registry[];
  readonly upstreams: () => readonly UpstreamStatus[];
  /** What the label says of an engine with this URL. */
  readonly nameOf: (url: string) => string;
}

/** Of each engine, as its worker sees it. What an engine does not tell has no series. */
function registerUpstreamGauges({
  tier,
  registers,
  upstreams,
  nameOf,
}: UpstreamGaugeSources): void {
  function gauge(name: string, help: string, read: (status: UpstreamStatus) => number | null) {
    return new Gauge({
      name,
      help,
      labelNames: ['tier', 'upstream'] as const,
      registers,
      collect() {
        this.reset();
        for (const status of upstreams()) {
          const value = read(status);
          if (value !== null) this.set({ tier, upstream: nameOf(status.url) }, value);
        }
      },
    });
  }
  gauge('qarr_upstream_running', "This worker's jobs on the engine", (status) => status.running);
  gauge('qarr_upstream_slots', 'Jobs that the engine may have at once', (status) => status.slots);
  gauge('qarr_upstream_waiting', "Requests in the engine's own queue", (status) => status.waiting);
  gauge('qarr_upstream_kv_usage_ratio', 'KV cache in use', (status) => status.kv_usage);
  gauge('qarr_breaker_state', "The engine's breaker: 0 closed, 1 half-open, 2 open", (status) =>
    status.breaker === undefined ? null : BREAKER_VALUES[status.breaker],
  );
  createStateGauge({ tier, registers, upstreams, nameOf });
}

function createStateGauge({
  tier,
  registers,
  upstreams,
  nameOf,
}: UpstreamGaugeSources): Gauge<'tier' | 'upstream' | 'state'> {
  return new Gauge({
    name: 'qarr_upstream_state',
    help: '1 for the state in which the engine is',
    labelNames: ['tier', 'upstream', 'state'] as const,
    registers,
    collect() {
      for (const { url, state } of upstreams()) {
        for (const each of UPSTREAM_STATES) {
          this.set({ tier, upstream: nameOf(url), state: each }, each === state ? 1 : 0);
        }
      }
    },
  });
}
