import { expect, test } from 'vitest';
import { promptOf, startEngine, type TestEngine } from '../engine/engine-for-test.ts';
import { exposeMetrics } from './exposition.ts';

const cache = { blockTokens: 16, kvTokensMax: 1600, modelLenMax: 800, prefixCaching: true };

function scrape(
  engine: TestEngine,
  options: Partial<Parameters<typeof exposeMetrics>[0]> = {},
): Map<string, number> {
  const text = exposeMetrics({ metrics: engine.metrics, modelName: 'llama', cache, ...options });
  const samples = new Map<string, number>();
  const families = new Map<string, string>();
  for (const line of text.trimEnd().split('\n')) {
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (name !== undefined && rest !== undefined) {
      expect(families.has(`${kind} ${name}`)).toBe(false);
      families.set(`${kind} ${name}`, rest);
      continue;
    }
    const [, series, value] = /^(\S+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (series === undefined) throw new Error(`no sample: ${line}`);
    const family = series.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, '');
    const known = ['', '_sum', '_count'].some((end) => families.has(`TYPE ${family}${end}`));
    expect({ line, known, again: samples.has(series) }).toEqual({
      line,
      known: true,
      again: false,
    });
    samples.set(series, Number(value));
  }
  return samples;
}

/** Two requests of one prompt, one after the other; the second has two choices. */
async function twoRequests(engine: TestEngine): Promise<void> {
  await engine.ask({ promptIds: promptOf(100), tokens: 5 }).ended;
  const request = { choices: 2 };
  const choices = [7, 3].map(
    (tokens) => engine.ask({ promptIds: promptOf(100), tokens, request }).ended,
  );
  await Promise.all(choices);
}

test('the counters and histograms say what happened', async () => {
  const engine = startEngine({ kvBlocks: 100 });
  await twoRequests(engine);
  const samples = scrape(engine);
  const labels = '{engine="0",model_name="llama"}';
  const expected: Record<string, number> = {
    [`vllm:num_requests_running${labels}`]: 0,
    [`vllm:num_requests_waiting${labels}`]: 0,
    [`vllm:kv_cache_usage_perc${labels}`]: 0,
    'vllm:num_requests_waiting_by_reason{engine="0",model_name="llama",reason="capacity"}': 0,
    [`vllm:prompt_tokens_total${labels}`]: 300,
    [`vllm:prompt_tokens_cached_total${labels}`]: 192,
    [`vllm:generation_tokens_total${labels}`]: 15,
    [`vllm:prefix_cache_queries_total${labels}`]: 300,
    [`vllm:prefix_cache_hits_total${labels}`]: 192,
    [`vllm:num_preemptions_total${labels}`]: 0,
    'vllm:request_success_total{engine="0",finished_reason="length",model_name="llama"}': 3,
    'vllm:request_success_total{engine="0",finished_reason="repetition",model_name="llama"}': 0,
    [`vllm:request_prompt_tokens_sum${labels}`]: 300,
    [`vllm:request_generation_tokens_sum${labels}`]: 15,
    [`vllm:request_params_max_tokens_sum${labels}`]: 15,
    [`vllm:request_prefill_kv_computed_tokens_sum${labels}`]: 108,
    [`vllm:request_max_num_generation_tokens_sum${labels}`]: 12,
    [`vllm:request_params_n_count${labels}`]: 2,
    [`vllm:request_params_n_sum${labels}`]: 3,
    'vllm:request_params_n_bucket{engine="0",le="1.0",model_name="llama"}': 1,
    'vllm:request_params_n_bucket{engine="0",le="+Inf",model_name="llama"}': 2,
    [`vllm:time_to_first_token_seconds_count${labels}`]: 3,
    [`vllm:inter_token_latency_seconds_count${labels}`]: 12,
    [`vllm:request_time_per_output_token_seconds_count${labels}`]: 3,
    [`vllm:e2e_request_latency_seconds_count${labels}`]: 3,
    [`vllm:request_queue_time_seconds_count${labels}`]: 3,
    [`vllm:iteration_tokens_total_count${labels}`]: 12,
    [`vllm:iteration_tokens_total_sum${labels}`]: 108 + 15,
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",engine="0",kv_cache_max_concurrency="2.0",kv_cache_size_tokens="1600",num_gpu_blocks="100"}': 1,
    process_start_time_seconds: 0,
  };
  expect(Object.fromEntries(samples)).toMatchObject(expected);
  expect([...samples.keys()].filter((series) => /rejections|_v0|swapped/.test(series))).toEqual([]);
});

test('the phases of a request add up', async () => {
  const engine = startEngine({ sequencesMax: 1 });
  const asked = [0, 1].map((topic) => engine.ask({ promptIds: promptOf(50, topic), tokens: 20 }));
  await Promise.all(asked.map(({ ended }) => ended));
  const samples = scrape(engine);
  const sum = (name: string) => samples.get(`${name}_sum{engine="0",model_name="llama"}`) ?? 0;
  const inference = sum('vllm:request_inference_time_seconds');
  const phases = sum('vllm:request_prefill_time_seconds') + sum('vllm:request_decode_time_seconds');
  const queue = sum('vllm:request_queue_time_seconds');
  expect(phases).toBeCloseTo(inference);
  expect(queue + inference).toBeCloseTo(sum('vllm:e2e_request_latency_seconds'));
  // The second one waited as long as the first one ran.
  expect(queue).toBeCloseTo(inference / 2);
});

test('gauges follow the steps', async () => {
  const engine = startEngine({ sequencesMax: 1, kvBlocks: 100 });
  for (const topic of [0, 1]) engine.ask({ promptIds: promptOf(50, topic), tokens: 20 });
  await engine.pass(100);
  const samples = scrape(engine);
  const labels = '{engine="0",model_name="llama"}';
  expect(samples.get(`vllm:num_requests_running${labels}`)).toBe(1);
  expect(samples.get(`vllm:num_requests_waiting${labels}`)).toBe(1);
  expect(samples.get(`vllm:kv_cache_usage_perc${labels}`)).toBe(0.04);
});

test('0.6.4 has its own names, labels and buckets', async () => {
  const engine = startEngine({ kvBlocks: 100 });
  await twoRequests(engine);
  const samples = scrape(engine, { dialect: 'v0' });
  const labels = '{model_name="llama"}';
  expect(Object.fromEntries(samples)).toMatchObject({
    [`vllm:num_requests_swapped${labels}`]: 0,
    [`vllm:gpu_cache_usage_perc${labels}`]: 0,
    [`vllm:cpu_cache_usage_perc${labels}`]: 0,
    [`vllm:gpu_prefix_cache_hit_rate${labels}`]: 0.64,
    [`vllm:tokens_total${labels}`]: 315,
    [`vllm:time_per_output_token_seconds_count${labels}`]: 12,
    [`vllm:time_in_queue_requests_count${labels}`]: 3,
    'vllm:time_to_first_token_seconds_bucket{le="10.0",model_name="llama"}': 3,
    'vllm:request_success_total{finished_reason="length",model_name="llama"}': 3,
    'vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="True",num_gpu_blocks="100"}': 1,
  });
  const foreign = /engine=|kv_cache_usage|inter_token|prefix_cache_hits|"abort"/;
  expect([...samples.keys()].filter((series) => foreign.test(series))).toEqual([]);
  expect(samples.has('vllm:time_to_first_token_seconds_bucket{le="20.0",model_name="llama"}')).toBe(
    false,
  );
  const off = scrape(engine, { dialect: 'v0', cache: { ...cache, prefixCaching: false } });
  expect(off.get(`vllm:gpu_prefix_cache_hit_rate${labels}`)).toBe(-1);
});

test('rejections at the door are there where the version has them', () => {
  const engine = startEngine({ queuedRequestsMax: 1 });
  engine.admit({ choices: 2 });
  const samples = scrape(engine, { admissionRejections: true });
  const series = (reason: string) =>
    samples.get(`vllm:admission_rejections_total{model_name="llama",reason="${reason}"}`);
  expect(series('max_num_queued_reqs')).toBe(1);
  expect(series('max_num_queued_tokens')).toBe(0);
});

test('a name with quotes does not break a line', () => {
  const samples = scrape(startEngine(), { modelName: 'a"b\\c\nd' });
  expect(samples.has('vllm:num_requests_running{engine="0",model_name="a\\"b\\\\c\\nd"}')).toBe(
    true,
  );
});
