import type { EngineMetrics } from '../metrics/engine-metrics.ts';
import type { Choices, Sequence } from './sequence.ts';
import type { StepPlan } from './step-plan.ts';

/** Moves the metrics as vLLM's v1/metrics/stats.py and loggers.py do. All times in milliseconds. */
export type SequenceMetrics = {
  planned(plan: StepPlan<Sequence>, nowMs: number): void;
  token(sequence: Sequence, nowMs: number): void;
  /** The end of a step that computed something. */
  stepped(): void;
  /** The end of a sequence by the engine. One that its client left is counted nowhere. */
  finished(sequence: Sequence, reason: 'stop' | 'length' | 'abort' | 'error', nowMs: number): void;
};

export function createSequenceMetrics(metrics: EngineMetrics): SequenceMetrics {
  const unfinished = new WeakMap<Choices, { choices: number; generatedTokensMax: number }>();
  /** Prompt tokens whose prefill ended in this step, and tokens generated in it. */
  let tokensInStep = 0;

  function planned(plan: StepPlan<Sequence>, nowMs: number): void {
    metrics.preemptions.add(plan.preempted.length);
    for (const { sequence, cachedTokens } of plan.admitted) {
      // What a preempted sequence finds of itself is no merit of the cache: vLLM counts it apart.
      if (sequence.preemptions > 0) continue;
      sequence.scheduledAtMs = nowMs;
      sequence.cachedTokens = cachedTokens;
      if (sequence.hashes === undefined) continue;
      metrics.prefixCacheQueries.add(sequence.promptTokens);
      metrics.prefixCacheHits.add(cachedTokens);
    }
  }

  function token(sequence: Sequence, nowMs: number): void {
    metrics.generationTokens.add(1);
    tokensInStep += 1;
    if (sequence.lastTokenAtMs === undefined) {
      tokensInStep += sequence.promptTokens - sequence.cachedTokens;
      metrics.promptTokens.add(sequence.promptTokens);
      metrics.promptTokensCached.add(sequence.cachedTokens);
      metrics.timeToFirstToken.observe((nowMs - sequence.arrivedAtMs) / 1000);
      sequence.firstTokenAtMs = nowMs;
    } else {
      metrics.interTokenLatency.observe((nowMs - sequence.lastTokenAtMs) / 1000);
    }
    sequence.lastTokenAtMs = nowMs;
  }

  function finished(
    sequence: Sequence,
    reason: 'stop' | 'length' | 'abort' | 'error',
    nowMs: number,
  ): void {
    metrics.finished.add(reason);
    metrics.endToEndLatency.observe((nowMs - sequence.arrivedAtMs) / 1000);
    observePhases(sequence);
    metrics.requestPromptTokens.observe(sequence.promptTokens);
    metrics.requestPrefillComputedTokens.observe(sequence.promptTokens - sequence.cachedTokens);
    metrics.requestGenerationTokens.observe(sequence.generatedTokens);
    metrics.requestTokensMax.observe(sequence.sampling.tokensMax);
    observeRequest(sequence);
  }

  /**
   * Preemptions lie within the phases. Of a sequence that ended before its first token vLLM
   * subtracts timestamps that were never set; the simulator leaves those out.
   */
  function observePhases(sequence: Sequence): void {
    const { arrivedAtMs, scheduledAtMs, firstTokenAtMs, lastTokenAtMs } = sequence;
    if (scheduledAtMs === undefined) return;
    metrics.queueTime.observe((scheduledAtMs - arrivedAtMs) / 1000);
    if (firstTokenAtMs === undefined || lastTokenAtMs === undefined) return;
    const decodeSeconds = (lastTokenAtMs - firstTokenAtMs) / 1000;
    metrics.prefillTime.observe((firstTokenAtMs - scheduledAtMs) / 1000);
    metrics.decodeTime.observe(decodeSeconds);
    metrics.inferenceTime.observe((lastTokenAtMs - scheduledAtMs) / 1000);
    metrics.timePerOutputToken.observe(decodeSeconds / Math.max(1, sequence.generatedTokens - 1));
  }

  /** Once per request, when its last choice ends. */
  function observeRequest({ request, generatedTokens }: Sequence): void {
    const state = unfinished.get(request) ?? { choices: request.choices, generatedTokensMax: 0 };
    state.choices -= 1;
    state.generatedTokensMax = Math.max(state.generatedTokensMax, generatedTokens);
    unfinished.set(request, state);
    if (state.choices > 0) return;
    metrics.requestChoices.observe(request.choices);
    metrics.requestGenerationTokensMax.observe(state.generatedTokensMax);
  }

  return {
    planned,
    token,
    stepped() {
      metrics.iterationTokens.observe(tokensInStep);
      tokensInStep = 0;
    },
    finished,
  };
}
