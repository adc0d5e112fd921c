/** What an engine tells of its load on its `/metrics` page, by vLLM's names of all versions. */
import { readSeries } from './prometheus-text.ts';
import type { Series } from './prometheus-text.ts';

/** Null: the page does not say. */
export interface EngineMetrics {
  readonly running: number | null;
  readonly waiting: number | null;
  /** Share of the KV cache that live requests hold, 0 to 1. */
  readonly kvUsage: number | null;
  /** Since the process's start. */
  readonly preemptions: number | null;
  /** Prompt and generated tokens since the process's start. */
  readonly tokens: number | null;
  /** Size of the KV cache. */
  readonly kvTokens: number | null;
  /** When the process has started, in seconds since the epoch. */
  readonly startedAtS: number | null;
}

/** vLLM renamed the KV gauge in 0.9.2 and dropped the old name in 0.12. */
const KV_USAGE = ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'];
const TOKENS = ['vllm:prompt_tokens_total', 'vllm:generation_tokens_total'];
const RUNNING = 'vllm:num_requests_running';
const WAITING = 'vllm:num_requests_waiting';
const PREEMPTIONS = 'vllm:num_preemptions_total';
const CACHE_CONFIG = 'vllm:cache_config_info';
const STARTED = 'process_start_time_seconds';
const NAMES = new Set([
  ...KV_USAGE,
  ...TOKENS,
  RUNNING,
  WAITING,
  PREEMPTIONS,
  CACHE_CONFIG,
  STARTED,
]);

/** Counts of several engines behind one address (data parallelism) are summed up. */
export function readEngineMetrics(page: string): EngineMetrics {
  const series = readSeries(page, NAMES);
  const values = (...names: string[]) =>
    names.flatMap((name) => (series.get(name) ?? []).map(({ value }) => value));
  const cacheSizes = (series.get(CACHE_CONFIG) ?? []).flatMap((info) => cacheTokens(info) ?? []);
  const usages = values(...KV_USAGE);
  return {
    running: sum(values(RUNNING)),
    waiting: sum(values(WAITING)),
    // The fullest one preempts first.
    kvUsage: usages.length === 0 ? null : Math.max(...usages),
    preemptions: sum(values(PREEMPTIONS)),
    tokens: sum(values(...TOKENS)),
    kvTokens: sum(cacheSizes),
    startedAtS: values(STARTED)[0] ?? null,
  };
}

/** From the labels of the info gauge, which print what is not known as `None`. */
function cacheTokens({ labels }: Series): number | null {
  const told = positive(labels.get('kv_cache_size_tokens'));
  if (told !== null) return told;
  const blocks = positive(labels.get('num_gpu_blocks'));
  const blockTokens = positive(labels.get('block_size'));
  return blocks === null || blockTokens === null ? null : blocks * blockTokens;
}

function positive(text: string | undefined): number | null {
  const number = Number(text);
  return Number.isFinite(number) && number > 0 ? number : null;
}

function sum(numbers: readonly number[]): number | null {
  return numbers.length === 0 ? null : numbers.reduce((total, number) => total + number, 0);
}
