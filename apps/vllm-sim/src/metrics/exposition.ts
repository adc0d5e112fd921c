import type { EngineMetrics } from './engine-metrics.ts';
import {
  createFamilies,
  type Families,
  type Family,
  familyText,
  floatText,
  type Labels,
} from './families.ts';
import { v0Families } from './v0-families.ts';
import { v1Families } from './v1-families.ts';

export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Whose names: `v0` are those of 0.6.4, `v1` those of the engine since 0.8 at about 0.28. */
export type MetricsDialect = 'v0' | 'v1';

/** What `vllm:cache_config_info` tells about the KV cache, in tokens. */
export type CacheConfig = {
  readonly blockTokens: number;
  readonly kvTokensMax: number;
  readonly modelLenMax: number;
  readonly prefixCaching: boolean;
};

/**
 * The metrics in Prometheus text format 0.0.4, under vLLM's names.
 *
 * @param options.admissionRejections whether there is `vllm:admission_rejections_total`: since 0.32
 */
export function exposeMetrics(options: {
  metrics: EngineMetrics;
  modelName: string;
  cache: CacheConfig;
  dialect?: MetricsDialect;
  admissionRejections?: boolean;
}): string {
  const { metrics, modelName, cache, dialect = 'v1', admissionRejections = false } = options;
  const unlabelled = createFamilies({});
  const families: readonly Family[] =
    dialect === 'v0'
      ? [...v0Families(metrics, { modelName, ...cache }), cacheInfo(unlabelled, v0Cache(cache))]
      : [
          ...v1Families(metrics, modelName),
          ...(admissionRejections ? [rejections(metrics, modelName)] : []),
          cacheInfo(unlabelled, v1Cache(cache)),
        ];
  return [...families, processStart(unlabelled, metrics)].map(familyText).join('');
}

/** Counted in the front end, so there is no label `engine` (vLLM PR #55812). */
function rejections(metrics: EngineMetrics, modelName: string): Family {
  return createFamilies({ model_name: modelName }).series({
    name: 'vllm:admission_rejections_total',
    help: 'Number of requests rejected by admission control.',
    type: 'counter',
    label: 'reason',
    values: metrics.admissionRejections
      .read()
      .map(({ reason, count }) => ({ value: reason, count })),
  });
}

function cacheInfo(families: Families, labels: Labels): Family {
  return families.info({
    name: 'vllm:cache_config_info',
    help: 'Information of the LLMEngine CacheConfig',
    labels,
  });
}

function v0Cache(cache: CacheConfig): Labels {
  return {
    block_size: String(cache.blockTokens),
    cache_dtype: 'auto',
    enable_prefix_caching: pythonBoolean(cache.prefixCaching),
    num_gpu_blocks: String(cache.kvTokensMax / cache.blockTokens),
  };
}

function v1Cache(cache: CacheConfig): Labels {
  return {
    ...v0Cache(cache),
    engine: '0',
    kv_cache_max_concurrency: floatText(cache.kvTokensMax / cache.modelLenMax),
    kv_cache_size_tokens: String(cache.kvTokensMax),
  };
}

/** From Python's client library: how a scraper sees that the server was started anew. */
function processStart(families: Families, metrics: EngineMetrics): Family {
  return families.gauge({
    name: 'process_start_time_seconds',
    help: 'Start time of the process since unix epoch in seconds.',
    value: metrics.startedAtMs / 1000,
  });
}

function pythonBoolean(value: boolean): string {
  return value ? 'True' : 'False';
}
