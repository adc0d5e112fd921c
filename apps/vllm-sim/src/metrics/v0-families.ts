import {
  INTER_TOKEN_LATENCY_V0_MAX,
  ITERATION_TOKENS_V0,
  REQUEST_LATENCY_V0_MAX,
  TIME_TO_FIRST_TOKEN_V0_MAX,
} from './buckets.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import { createFamilies, type Family } from './families.ts';

/**
 * The metrics of vLLM 0.6.4, with the help texts of its engine/metrics.py. There is no label
 * `engine`, a finish reason has a series from its first use on, and the swap space and the CPU
 * cache are there and empty. Left out is what has no value without options that are off by default.
 */
export function v0Families(
  metrics: EngineMetrics,
  options: { modelName: string; prefixCaching: boolean },
): readonly Family[] {
  const { gauge, counter, series, histogram } = createFamilies({ model_name: options.modelName });
  const promptTokens = metrics.promptTokens.read();
  const generationTokens = metrics.generationTokens.read();
  return [
    gauge({
      name: 'vllm:num_requests_running',
      help: 'Number of requests currently running on GPU.',
      value: metrics.running.read(),
    }),
    gauge({
      name: 'vllm:num_requests_waiting',
      help: 'Number of requests waiting to be processed.',
      value: metrics.waiting.read(),
    }),
    gauge({
      name: 'vllm:num_requests_swapped',
      help: 'Number of requests swapped to CPU.',
      value: 0,
    }),
    gauge({
      name: 'vllm:gpu_cache_usage_perc',
      help: 'GPU KV-cache usage. 1 means 100 percent usage.',
      value: metrics.kvUsage.read(),
    }),
    gauge({
      name: 'vllm:cpu_cache_usage_perc',
      help: 'CPU KV-cache usage. 1 means 100 percent usage.',
      value: 0,
    }),
    gauge({
      name: 'vllm:cpu_prefix_cache_hit_rate',
      help: 'CPU prefix cache block hit rate.',
      value: -1,
    }),
    gauge({
      name: 'vllm:gpu_prefix_cache_hit_rate',
      help: 'GPU prefix cache block hit rate.',
      value: options.prefixCaching ? hitRate(metrics) : -1,
    }),
    counter({
      name: 'vllm:num_preemptions_total',
      help: 'Cumulative number of preemption from the engine.',
      value: metrics.preemptions.read(),
    }),
    counter({
      name: 'vllm:prompt_tokens_total',
      help: 'Number of prefill tokens processed.',
      value: promptTokens,
    }),
    counter({
      name: 'vllm:generation_tokens_total',
      help: 'Number of generation tokens processed.',
      value: generationTokens,
    }),
    counter({
      name: 'vllm:tokens_total',
      help: 'Number of prefill plus generation tokens processed.',
      value: promptTokens + generationTokens,
    }),
    histogram({
      name: 'vllm:iteration_tokens_total',
      help: 'Histogram of number of tokens per engine_step.',
      source: metrics.iterationTokens,
      show: (bound) => ITERATION_TOKENS_V0.includes(bound),
    }),
    histogram({
      name: 'vllm:time_to_first_token_seconds',
      help: 'Histogram of time to first token in seconds.',
      source: metrics.timeToFirstToken,
      show: (bound) => bound <= TIME_TO_FIRST_TOKEN_V0_MAX,
    }),
    histogram({
      name: 'vllm:time_per_output_token_seconds',
      help: 'Histogram of time per output token in seconds.',
      source: metrics.interTokenLatency,
      show: (bound) => bound <= INTER_TOKEN_LATENCY_V0_MAX,
    }),
    histogram({
      name: 'vllm:e2e_request_latency_seconds',
      help: 'Histogram of end to end request latency in seconds.',
      source: metrics.endToEndLatency,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:request_queue_time_seconds',
      help: 'Histogram of time spent in WAITING phase for request.',
      source: metrics.queueTime,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:request_inference_time_seconds',
      help: 'Histogram of time spent in RUNNING phase for request.',
      source: metrics.inferenceTime,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:request_prefill_time_seconds',
      help: 'Histogram of time spent in PREFILL phase for request.',
      source: metrics.prefillTime,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:request_decode_time_seconds',
      help: 'Histogram of time spent in DECODE phase for request.',
      source: metrics.decodeTime,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:time_in_queue_requests',
      help: 'Histogram of time the request spent in the queue in seconds.',
      source: metrics.queueTime,
      show: upToLatencyMax,
    }),
    histogram({
      name: 'vllm:request_prompt_tokens',
      help: 'Number of prefill tokens processed.',
      source: metrics.requestPromptTokens,
    }),
    histogram({
      name: 'vllm:request_generation_tokens',
      help: 'Number of generation tokens processed.',
      source: metrics.requestGenerationTokens,
    }),
    histogram({
      name: 'vllm:request_max_num_generation_tokens',
      help: 'Histogram of maximum number of requested generation tokens.',
      source: metrics.requestGenerationTokensMax,
    }),
    histogram({
      name: 'vllm:request_params_n',
      help: 'Histogram of the n request parameter.',
      source: metrics.requestChoices,
    }),
    histogram({
      name: 'vllm:request_params_max_tokens',
      help: 'Histogram of the max_tokens request parameter.',
      source: metrics.requestTokensMax,
    }),
    series({
      name: 'vllm:request_success_total',
      help: 'Count of successfully processed requests.',
      type: 'counter',
      label: 'finished_reason',
      values: metrics.finished
        .read()
        .filter(({ count }) => count > 0)
        .map(({ reason, count }) => ({ value: reason, count })),
    }),
  ];
}

function upToLatencyMax(bound: number): boolean {
  return bound <= REQUEST_LATENCY_V0_MAX;
}

function hitRate(metrics: EngineMetrics): number {
  const queries = metrics.prefixCacheQueries.read();
  return queries === 0 ? 0 : metrics.prefixCacheHits.read() / queries;
}
