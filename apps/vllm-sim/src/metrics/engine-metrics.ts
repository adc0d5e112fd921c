import {
  CHOICES_BUCKETS,
  INTER_TOKEN_LATENCY_BUCKETS,
  ITERATION_TOKENS_V0,
  ITERATION_TOKENS_V1,
  oneTwoFiveBuckets,
  REQUEST_LATENCY_BUCKETS,
  TIME_TO_FIRST_TOKEN_BUCKETS,
} from './buckets.ts';
import { createHistogram } from './histogram.ts';

/** vLLM exposes a series for each of its finish reasons from the start. */
const FINISHED_REASONS = ['stop', 'length', 'abort', 'error', 'repetition'] as const;
/** Why a request was refused at the door: the limit that it would have exceeded. */
const REJECTION_REASONS = ['max_num_queued_reqs', 'max_num_queued_tokens'] as const;
export type RejectionReason = (typeof REJECTION_REASONS)[number];

/** What the engine counts. Gauges are refreshed once per step, as in vLLM: stale while it idles. */
export type EngineMetrics = ReturnType<typeof createEngineMetrics>;

/**
 * @param options.modelLenMax bounds the histograms of token counts
 * @param options.startedAtMs when the engine started, in milliseconds since 1970
 */
export function createEngineMetrics(options: { modelLenMax: number; startedAtMs: number }) {
  const tokenBuckets = oneTwoFiveBuckets(options.modelLenMax);
  return {
    startedAtMs: options.startedAtMs,
    running: createGauge(),
    waiting: createGauge(),
    /** Share of the KV cache held by live sequences, 0 to 1. */
    kvUsage: createGauge(),
    preemptions: createCounter(),
    /** Tokens looked up in the prefix cache, and those found there. */
    prefixCacheQueries: createCounter(),
    prefixCacheHits: createCounter(),
    promptTokens: createCounter(),
    promptTokensCached: createCounter(),
    generationTokens: createCounter(),
    finished: createCounters(FINISHED_REASONS),
    admissionRejections: createCounters(REJECTION_REASONS),
    // In seconds.
    timeToFirstToken: createHistogram(TIME_TO_FIRST_TOKEN_BUCKETS),
    interTokenLatency: createHistogram(INTER_TOKEN_LATENCY_BUCKETS),
    timePerOutputToken: createHistogram(INTER_TOKEN_LATENCY_BUCKETS),
    endToEndLatency: createHistogram(REQUEST_LATENCY_BUCKETS),
    queueTime: createHistogram(REQUEST_LATENCY_BUCKETS),
    inferenceTime: createHistogram(REQUEST_LATENCY_BUCKETS),
    prefillTime: createHistogram(REQUEST_LATENCY_BUCKETS),
    decodeTime: createHistogram(REQUEST_LATENCY_BUCKETS),
    // In tokens, or choices.
    requestPromptTokens: createHistogram(tokenBuckets),
    requestGenerationTokens: createHistogram(tokenBuckets),
    requestGenerationTokensMax: createHistogram(tokenBuckets),
    requestPrefillComputedTokens: createHistogram(tokenBuckets),
    requestTokensMax: createHistogram(tokenBuckets),
    requestChoices: createHistogram(CHOICES_BUCKETS),
    iterationTokens: createHistogram(
      [...new Set([...ITERATION_TOKENS_V0, ...ITERATION_TOKENS_V1])].toSorted((a, b) => a - b),
    ),
  } as const;
}

type Gauge = { set(value: number): void; read(): number };
type Counter = { add(amount: number): void; read(): number };
type Counters<Reason extends string> = {
  add(reason: Reason): void;
  read(): readonly { reason: Reason; count: number }[];
};

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

function createCounters<Reason extends string>(reasons: readonly Reason[]): Counters<Reason> {
  const counts = new Map(reasons.map((reason) => [reason, 0]));
  return {
    add(reason) {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    },
    read: () => [...counts].map(([reason, count]) => ({ reason, count })),
  };
}
