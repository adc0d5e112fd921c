import { describe, expect, it } from 'vitest';
import { readEngineMetrics } from './engine-metrics.ts';

const NOTHING = {
  running: null,
  waiting: null,
  kvUsage: null,
  preemptions: null,
  tokens: null,
  kvTokens: null,
  startedAtS: null,
};

describe("an engine's metrics", () => {
  it('are read by the names of today', () => {
    const page = `# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 2.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:num_preemptions_total{engine="0",model_name="m"} 4.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 100.0
vllm:generation_tokens_total{engine="0",model_name="m"} 11.0
vllm:cache_config_info{block_size="16",kv_cache_size_tokens="4000",num_gpu_blocks="249"} 1.0
process_start_time_seconds 1.79e+09
`;
    expect(readEngineMetrics(page)).toEqual({
      running: 3,
      waiting: 2,
      kvUsage: 0.25,
      preemptions: 4,
      tokens: 111,
      kvTokens: 4_000,
      startedAtS: 1.79e9,
    });
  });

  it('are read by the names of vLLM 0.6', () => {
    const page = `vllm:gpu_cache_usage_perc{model_name="m"} 0.5
vllm:cpu_cache_usage_perc{model_name="m"} 0.9
vllm:cache_config_info{block_size="16",num_gpu_blocks="100",num_cpu_blocks="None"} 1.0
`;
    expect(readEngineMetrics(page)).toEqual({ ...NOTHING, kvUsage: 0.5, kvTokens: 1_600 });
  });

  it('are those of all engines behind one address', () => {
    const page = `vllm:num_requests_running{engine="0"} 3
vllm:num_requests_running{engine="1"} 1
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.95
vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="10"} 1
vllm:cache_config_info{engine="1",block_size="16",num_gpu_blocks="10"} 1
`;
    expect(readEngineMetrics(page)).toEqual({
      ...NOTHING,
      running: 4,
      kvUsage: 0.95,
      kvTokens: 320,
    });
  });

  it.each([
    ['an engine of another kind', 'llamacpp:requests_processing 1\n'],
    ['a cache whose size is not known', 'vllm:cache_config_info{num_gpu_blocks="None"} 1\n'],
    ['a page that is none', '<html>'],
  ])('are unknown of %s', (_name, page) => {
    expect(readEngineMetrics(page)).toEqual(NOTHING);
  });
});
