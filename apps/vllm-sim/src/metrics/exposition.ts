import type { EngineMetrics } from './engine-metrics.ts';
import type { Histogram } from './histogram.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;
type Family = { name: string; help: string; type: string; samples: readonly string[] };

/** What `vllm:cache_config_info` tells about the KV cache, in tokens. */
export type CacheConfig = { blockTokens: number; kvTokensMax: number; modelLenMax: number };

/** The metrics in Prometheus text format 0.0.4, under vLLM's names. */
export function exposeMetrics(options: {
  metrics: EngineMetrics;
  modelName: string;
  cache: CacheConfig;
}): string {
  const { metrics, cache } = options;
  const labels: Labels = { engine: '0', model_name: options.modelName };

  const scalar = (name: string, help: string, type: string, value: number): Family => ({
    name,
    help,
    type,
    samples: [sample(name, labels, value)],
  });
  const histogram = (name: string, help: string, source: Histogram): Family => ({
    name,
    help,
    type: 'histogram',
    samples: histogramSamples({ name, labels, source }),
  });

  const families: Family[] = [
    scalar(
      'vllm:num_requests_running',
      'Number of requests in model execution batches.',
      'gauge',
      metrics.running.read(),
    ),
    scalar(
      'vllm:num_requests_waiting',
      'Number of requests waiting to be processed.',
      'gauge',
      metrics.waiting.read(),
    ),
    scalar(
      'vllm:kv_cache_usage_perc',
      'KV-cache usage. 1 means 100 percent usage.',
      'gauge',
      metrics.kvUsage.read(),
    ),
    scalar(
      'vllm:num_preemptions_total',
      'Cumulative number of preemption from the engine.',
      'counter',
      metrics.preemptions.read(),
    ),
    scalar(
      'vllm:prompt_tokens_total',
      'Number of prefill tokens processed.',
      'counter',
      metrics.promptTokens.read(),
    ),
    scalar(
      'vllm:generation_tokens_total',
      'Number of generation tokens processed.',
      'counter',
      metrics.generationTokens.read(),
    ),
    {
      name: 'vllm:request_success_total',
      help: 'Count of successfully processed requests.',
      type: 'counter',
      samples: metrics
        .finishedCounts()
        .map(({ reason, count }) =>
          sample(
            'vllm:request_success_total',
            { engine: '0', finished_reason: reason, model_name: options.modelName },
            count,
          ),
        ),
    },
    histogram(
      'vllm:time_to_first_token_seconds',
      'Histogram of time to first token in seconds.',
      metrics.timeToFirstToken,
    ),
    histogram(
      'vllm:inter_token_latency_seconds',
      'Histogram of inter-token latency in seconds.',
      metrics.interTokenLatency,
    ),
    histogram(
      'vllm:e2e_request_latency_seconds',
      'Histogram of e2e request latency in seconds.',
      metrics.endToEndLatency,
    ),
    histogram(
      'vllm:request_queue_time_seconds',
      'Histogram of time spent in WAITING phase for request.',
      metrics.queueTime,
    ),
    {
      name: 'vllm:cache_config_info',
      help: 'Information of the LLMEngine CacheConfig',
      type: 'gauge',
      samples: [sample('vllm:cache_config_info', cacheLabels(cache), 1)],
    },
  ];
  return families.map(familyText).join('');
}

function cacheLabels(cache: CacheConfig): Labels {
  return {
    block_size: String(cache.blockTokens),
    engine: '0',
    kv_cache_max_concurrency: (cache.kvTokensMax / cache.modelLenMax).toFixed(2),
    kv_cache_size_tokens: String(cache.kvTokensMax),
    num_gpu_blocks: String(Math.floor(cache.kvTokensMax / cache.blockTokens)),
  };
}

function histogramSamples(options: {
  name: string;
  labels: Labels;
  source: Histogram;
}): readonly string[] {
  const { name, labels } = options;
  const { buckets, sum, count } = options.source.read();
  return [
    ...buckets.map((bucket) =>
      sample(`${name}_bucket`, { engine: '0', le: floatText(bucket.le), ...labels }, bucket.count),
    ),
    sample(`${name}_bucket`, { engine: '0', le: '+Inf', ...labels }, count),
    sample(`${name}_count`, labels, count),
    sample(`${name}_sum`, labels, sum),
  ];
}

function familyText(family: Family): string {
  const head = `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.type}\n`;
  return head + family.samples.map((line) => `${line}\n`).join('');
}

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
  return `${name}{${pairs.join(',')}} ${floatText(value)}`;
}

/** As the Python client prints a float: `1.0`, not `1`. */
function floatText(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
