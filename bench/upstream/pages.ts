/** What an engine answers besides the answers themselves: what it is, its load, its tokenizer. */

/** Answers of up to 4,000 tokens and their prompts. */
const MODEL_LEN = 131_072;
/** No load fills it: what is measured is not the engine. */
const KV_BLOCKS = 100_000_000;

export interface Counts {
  readonly running: number;
  readonly promptTokens: number;
  readonly tokens: number;
}

/** Null: there is no such page. */
export function pageOf(url: string, { model, counts }: { model: string; counts: Counts }) {
  switch (url) {
    case '/v1/models':
      return JSON.stringify({
        object: 'list',
        data: [{ id: model, object: 'model', owned_by: 'bench', max_model_len: MODEL_LEN }],
      });
    case '/version':
      return JSON.stringify({ version: '0.12.0' });
    case '/health':
      return '';
    case '/metrics':
      return metricsPage(counts);
    default:
      return null;
  }
}

const startedS = Date.now() / 1_000;

function metricsPage({ running, promptTokens, tokens }: Counts): string {
  const labels = '{engine="0"}';
  return [
    `vllm:num_requests_running${labels} ${running}`,
    `vllm:num_requests_waiting${labels} 0`,
    `vllm:kv_cache_usage_perc${labels} 0`,
    `vllm:num_preemptions_total${labels} 0`,
    `vllm:prompt_tokens_total${labels} ${promptTokens}`,
    `vllm:generation_tokens_total${labels} ${tokens}`,
    `vllm:cache_config_info{block_size="16",num_gpu_blocks="${KV_BLOCKS}"} 1`,
    `process_start_time_seconds ${startedS}`,
    '',
  ].join('\n');
}
