import { expect, test, vi } from 'vitest';
import { chunksOf, startForTest, type TestSimulator } from './start-for-test.ts';

/** Some 9 ms per token. */
const PROFILE = ['--profile', 'awq-24gb'];

function streamOf(sim: TestSimulator, tokens: number): Promise<Response> {
  return sim.post('/v1/completions', {
    prompt: 'Once upon a time',
    max_tokens: tokens,
    ignore_eos: true,
    stream: true,
  });
}

async function finishOf(response: Response): Promise<string | null | undefined> {
  return chunksOf(await response.text()).at(-1)?.choices[0]?.finish_reason;
}

test('with a shutdown timeout a stop lets answers end, and aborts those that come', async () => {
  const sim = await startForTest(...PROFILE, '--shutdown-timeout', '60');
  const running = await streamOf(sim, 150);
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1 }));
  const stopped = sim.stop();
  const late = await streamOf(sim, 5);
  // It never had a token, so it has no chunk to say so.
  expect(await late.text()).toBe('data: [DONE]\n\n');
  expect(await finishOf(running)).toBe('length');
  await stopped;
  await expect(fetch(`${sim.url}/health`)).rejects.toThrow('fetch failed');
});

test('after the shutdown timeout the rest is aborted', async () => {
  const sim = await startForTest(...PROFILE, '--shutdown-timeout', '0.2');
  const running = await streamOf(sim, 8000);
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1 }));
  await Promise.all([sim.stop(), finishOf(running).then((finish) => expect(finish).toBe('abort'))]);
});

test('a cache that is too small for all shows preemptions, and all are answered', async () => {
  const sim = await startForTest('--num-gpu-blocks', '16', '--max-model-len', '200');
  const finishes = await Promise.all(
    Array.from({ length: 8 }, async () => finishOf(await streamOf(sim, 150))),
  );
  expect(new Set(finishes)).toEqual(new Set(['length']));
  const metrics = await (await fetch(`${sim.url}/metrics`)).text();
  expect(metrics).toMatch(/^vllm:num_preemptions_total\{.*\} [1-9]/m);
  expect(metrics).toMatch(/^vllm:cache_config_info\{.*num_gpu_blocks="16".*\} 1\.0$/m);
  const startedAt = Number(/^process_start_time_seconds (\S+)$/m.exec(metrics)?.[1]);
  expect(startedAt).toBeLessThanOrEqual(Date.now() / 1000);
  expect(startedAt).toBeGreaterThan(Date.now() / 1000 - 600);
});
