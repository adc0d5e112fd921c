import { createHistogram, type Histogram } from './histogram.ts';

/** What the engine counts. Gauges are refreshed once per step, as in vLLM: stale while it idles. */
export type EngineMetrics = {
  readonly running: Gauge;
  readonly waiting: Gauge;
  /** Share of the KV cache held by live sequences, 0 to 1. */
  readonly kvUsage: Gauge;
  readonly preemptions: Counter;
  readonly promptTokens: Counter;
  readonly generationTokens: Counter;
  readonly timeToFirstToken: Histogram;
  readonly interTokenLatency: Histogram;
  readonly endToEndLatency: Histogram;
  readonly queueTime: Histogram;
  finished(reason: FinishedReason): void;
  finishedCounts(): readonly { reason: FinishedReason; count: number }[];
};

type Gauge = { set(value: number): void; read(): number };
type Counter = { add(amount: number): void; read(): number };

/** vLLM exposes a series for each of its finish reasons from the start. */
const FINISHED_REASONS = ['stop', 'length', 'abort', 'error', 'repetition'] as const;
type FinishedReason = (typeof FINISHED_REASONS)[number];

/** Bucket bounds in seconds, from vLLM's v1/metrics/loggers.py. */
const TIME_TO_FIRST_TOKEN_BOUNDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
];
const INTER_TOKEN_LATENCY_BOUNDS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
const REQUEST_LATENCY_BOUNDS = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];

export function createEngineMetrics(): EngineMetrics {
  const finishedCounters = FINISHED_REASONS.map((reason) => ({ reason, counter: createCounter() }));
  return {
    running: createGauge(),
    waiting: createGauge(),
    kvUsage: createGauge(),
    preemptions: createCounter(),
    promptTokens: createCounter(),
    generationTokens: createCounter(),
    timeToFirstToken: createHistogram(TIME_TO_FIRST_TOKEN_BOUNDS),
    interTokenLatency: createHistogram(INTER_TOKEN_LATENCY_BOUNDS),
    endToEndLatency: createHistogram(REQUEST_LATENCY_BOUNDS),
    queueTime: createHistogram(REQUEST_LATENCY_BOUNDS),
    finished(reason) {
      finishedCounters.find((entry) => entry.reason === reason)?.counter.add(1);
    },
    finishedCounts() {
      return finishedCounters.map(({ reason, counter }) => ({ reason, count: counter.read() }));
    },
  };
}

function createGauge(): Gauge {
  let value = 0;
  return {
    set(next) {
      value = next;
    },
    read: () => value,
  };
}

function createCounter(): Counter {
  let total = 0;
  return {
    add(amount) {
      total += amount;
    },
    read: () => total,
  };
}
