import { expect, test } from 'vitest';
import { startForTest } from '../start-for-test.ts';
import { eventually } from './eventually-for-test.ts';
import { sendRaw } from './raw-client-for-test.ts';
import { readAnswer } from './read-events-for-test.ts';

/** Thousands of tokens, some 9 ms each. */
const ENDLESS = { messages: [{ role: 'user', content: 'Hi' }], stream: true, ignore_eos: true };

/** A simulator with an answer on its way. */
async function answering(...flags: string[]) {
  const sim = await startForTest('--profile', 'awq-24gb', ...flags);
  const exchange = sendRaw(sim.url, { path: '/v1/chat/completions', body: ENDLESS });
  const chunks = () => exchange.soFar().chunks.length;
  await eventually(() => expect(chunks()).toBeGreaterThan(2));
  return {
    sim,
    exchange,
    chunks,
    fault: (fault: string, params = {}) => sim.post('/_sim/faults', { fault, params }),
  };
}

test('an engine that hangs sends nothing and seems healthy, until it goes on', async () => {
  const { sim, chunks, fault } = await answering();
  expect((await fault('hang')).status).toBe(202);
  await eventually(async () => expect((await sim.state()).faults).toEqual({ hang: 1 }));
  expect((await fetch(`${sim.url}/health`)).status).toBe(200);
  const held = sendRaw(sim.url, { path: '/v1/chat/completions', body: ENDLESS });
  await eventually(async () => expect((await sim.state()).received).toBe(2));
  const before = chunks();
  await fault('resume');
  await eventually(() => expect(chunks()).toBeGreaterThan(before + 5));
  await eventually(() => expect(held.soFar().chunks.length).toBeGreaterThan(1));
  held.leave();
});

test('an engine that dies takes its server with it', async () => {
  const { sim, exchange, fault } = await answering('--time-scale', '0.1');
  await fault('die');
  expect((await exchange.whole).body.toString()).toContain('EngineCore encountered an issue');
  await sim.gone;
  await expect(fetch(`${sim.url}/health`)).rejects.toThrow('fetch failed');
});

test('all answers are aborted, and the next one is whole', async () => {
  const { sim, exchange, fault } = await answering();
  await fault('abort_all');
  expect(readAnswer(await exchange.whole)).toMatchObject({ finishReason: 'abort' });
  const next = { ...ENDLESS, max_tokens: 3 };
  const answer = await sendRaw(sim.url, { path: '/v1/chat/completions', body: next }).whole;
  expect(readAnswer(answer)).toMatchObject({ finishReason: 'length' });
});

test('a shutdown that drains aborts what takes longer', async () => {
  const { sim, exchange, fault } = await answering();
  await fault('shutdown', { mode: 'drain', ms: 100 });
  expect(readAnswer(await exchange.whole)).toMatchObject({ finishReason: 'abort' });
  await sim.gone;
});

test('a cache that shrinks preempts what it does not hold', async () => {
  const { sim, exchange, fault } = await answering();
  await fault('kv_shrink', { blocks: 1 });
  await eventually(async () => expect(await sim.state()).toMatchObject({ running: 0, waiting: 1 }));
  expect(await (await fetch(`${sim.url}/metrics`)).text()).toMatch(
    /vllm:num_preemptions_total\{[^}]*\} 1/,
  );
  exchange.leave();
});
