import { ITERATION_TOKENS_V1 } from './buckets.ts';
import type { EngineMetrics } from './engine-metrics.ts';
import { createFamilies, type Family } from './families.ts';

/**
 * The metrics of vLLM's V1 engine at about 0.28, with the help texts of v1/metrics/loggers.py.
 * What the simulator has nothing to say about is left out: multi-modal and external caches, LoRA,
 * speculative decoding, sleep state, and the front end's http_*.
 */
export function v1Families(metrics: EngineMetrics, modelName: string): readonly Family[] {
  const { gauge, counter, series, histogram } = createFamilies({
    engine: '0',
    model_name: modelName,
  });
  return [
    gauge({
      name: 'vllm:num_requests_running',
      help: 'Number of requests in model execution batches.',
      value: metrics.running.read(),
    }),
    gauge({
      name: 'vllm:num_requests_waiting',
      help: 'Number of requests waiting to be processed.',
      value: metrics.waiting.read(),
    }),
    series({
      name: 'vllm:num_requests_waiting_by_reason',
      help: "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting.",
      type: 'gauge',
      label: 'reason',
      values: [
        { value: 'capacity', count: metrics.waiting.read() },
        { value: 'deferred', count: 0 },
      ],
    }),
    gauge({
      name: 'vllm:kv_cache_usage_perc',
      help: 'KV-cache usage. 1 means 100 percent usage.',
      value: metrics.kvUsage.read(),
    }),
    counter({
      name: 'vllm:prefix_cache_queries_total',
      help: 'Prefix cache queries, in terms of number of queried tokens.',
      value: metrics.prefixCacheQueries.read(),
    }),
    counter({
      name: 'vllm:prefix_cache_hits_total',
      help: 'Prefix cache hits, in terms of number of cached tokens.',
      value: metrics.prefixCacheHits.read(),
    }),
    counter({
      name: 'vllm:num_preemptions_total',
      help: 'Cumulative number of preemption from the engine.',
      value: metrics.preemptions.read(),
    }),
    counter({
      name: 'vllm:prompt_tokens_total',
      help: 'Number of prefill tokens processed.',
      value: metrics.promptTokens.read(),
    }),
    counter({
      name: 'vllm:prompt_tokens_cached_total',
      help: 'Number of cached prompt tokens (local + external).',
      value: metrics.promptTokensCached.read(),
    }),
    counter({
      name: 'vllm:generation_tokens_total',
      help: 'Number of generation tokens processed.',
      value: metrics.generationTokens.read(),
    }),
    series({
      name: 'vllm:request_success_total',
      help: 'Count of successfully processed requests.',
      type: 'counter',
      label: 'finished_reason',
      values: metrics.finished.read().map(({ reason, count }) => ({ value: reason, count })),
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
      name: 'vllm:iteration_tokens_total',
      help: 'Histogram of number of tokens per engine_step.',
      source: metrics.iterationTokens,
      show: (bound) => ITERATION_TOKENS_V1.includes(bound),
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
    histogram({
      name: 'vllm:time_to_first_token_seconds',
      help: 'Histogram of time to first token in seconds.',
      source: metrics.timeToFirstToken,
    }),
    histogram({
      name: 'vllm:inter_token_latency_seconds',
      help: 'Histogram of inter-token latency in seconds.',
      source: metrics.interTokenLatency,
    }),
    histogram({
      name: 'vllm:request_time_per_output_token_seconds',
      help: 'Histogram of time_per_output_token_seconds per request.',
      source: metrics.timePerOutputToken,
    }),
    histogram({
      name: 'vllm:e2e_request_latency_seconds',
      help: 'Histogram of e2e request latency in seconds.',
      source: metrics.endToEndLatency,
    }),
    histogram({
      name: 'vllm:request_queue_time_seconds',
      help: 'Histogram of time spent in WAITING phase for request.',
      source: metrics.queueTime,
    }),
    histogram({
      name: 'vllm:request_inference_time_seconds',
      help: 'Histogram of time spent in RUNNING phase for request.',
      source: metrics.inferenceTime,
    }),
    histogram({
      name: 'vllm:request_prefill_time_seconds',
      help: 'Histogram of time spent in PREFILL phase for request.',
      source: metrics.prefillTime,
    }),
    histogram({
      name: 'vllm:request_decode_time_seconds',
      help: 'Histogram of time spent in DECODE phase for request.',
      source: metrics.decodeTime,
    }),
    histogram({
      name: 'vllm:request_prefill_kv_computed_tokens',
      help: 'Histogram of new KV tokens computed during prefill (excluding cached tokens).',
      source: metrics.requestPrefillComputedTokens,
    }),
  ];
}
