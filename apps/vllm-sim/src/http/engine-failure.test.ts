import { expect, test, vi } from 'vitest';
import { startForTest, type TestSimulator } from '../start-for-test.ts';

const messages = [{ role: 'user', content: 'Hi' }];
/** Some 90 ms per token, and at least 35 of them. */
const LONG = { messages, max_tokens: 4000 };
const SLOWLY = ['--profile', 'awq-24gb', '--time-scale', '10'];
const DEAD_MESSAGE = 'EngineCore encountered an issue. See stack trace (above) for the root cause.';
const NESTED = {
  error: { message: DEAD_MESSAGE, type: 'InternalServerError', param: null, code: 500 },
};

/** Lets an answer begin, and the engine die. */
async function dieUnder(sim: TestSimulator, body: object): Promise<Response> {
  const asked = sim.post('/v1/chat/completions', { ...LONG, ...body });
  await vi.waitFor(async () => {
    const metrics = await (await fetch(`${sim.url}/_sim/state`)).json();
    expect(metrics).toMatchObject({ running: 1 });
  });
  if ('stream' in body) await firstEvent(await asked);
  await sim.post('/_sim/faults', { fault: 'die' });
  return asked;
}

async function firstEvent(response: Response): Promise<void> {
  const reader = response.clone().body?.getReader();
  await reader?.read();
}

function slowly(persona: string): Promise<TestSimulator> {
  return startForTest(...SLOWLY, '--persona', persona);
}

test('current tells an open stream of the failure and ends it in order', async () => {
  const response = await dieUnder(await slowly('current'), { stream: true });
  expect(response.status).toBe(200);
  const events = (await response.text()).split('\n\n');
  expect(events[0]).toContain('"role":"assistant"');
  expect(events.slice(-3)).toEqual([`data: ${JSON.stringify(NESTED)}`, 'data: [DONE]', '']);
});

test('0.6.4 cuts an open stream off', async () => {
  const sim = await slowly('0.6.4');
  const response = await dieUnder(sim, { stream: true });
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow('terminated');
  expect((await sim.state()).recent).toMatchObject([{ fault: 'die', ended: 'fault' }]);
});

test('generic tells an open stream in its own way and ends it', async () => {
  const response = await dieUnder(await slowly('generic'), { stream: true });
  const events = (await response.text()).split('\n\n');
  expect(events.slice(-2)).toEqual([`data: ${JSON.stringify({ error: DEAD_MESSAGE })}`, '']);
});

test.for([
  ['current', JSON.stringify(NESTED)],
  ['0.6.4', ''],
  ['generic', JSON.stringify({ detail: DEAD_MESSAGE })],
] as const)('%s answers with a 500 where nothing is streamed', async ([persona, body]) => {
  const response = await dieUnder(await slowly(persona), {});
  expect([response.status, await response.text()]).toEqual([500, body]);
});

test.for([
  ['current', 503],
  ['0.6.4', 500],
] as const)('%s with a dead engine is not healthy and takes nothing', async ([persona, status]) => {
  const sim = await startForTest('--persona', persona);
  await sim.post('/_sim/faults', { fault: 'die' });
  await vi.waitFor(async () => expect((await fetch(`${sim.url}/health`)).status).toBe(status));
  for (const stream of [true, false]) {
    const response = await sim.post('/v1/chat/completions', { messages, stream });
    expect(response.status).toBe(500);
  }
});

test('0.32 refuses what its queue cannot take, all choices of a request at once', async () => {
  const sim = await startForTest(
    '--persona',
    '0.32',
    '--max-num-seqs',
    '1',
    '--profile',
    'awq-24gb',
  );
  const client = new AbortController();
  const held = sim.post('/v1/chat/completions', LONG, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(LONG),
    signal: client.signal,
  });
  held.catch(() => {
    // Aborted below.
  });
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1 }));
  const body = { messages, max_tokens: 1, stream: true, n: 2 };
  const response = await sim.post('/v1/chat/completions', body);
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: 503 } });
  expect(await (await fetch(`${sim.url}/metrics`)).text()).toMatch(
    /vllm:admission_rejections_total\{.*max_num_queued_reqs.*\} 1/,
  );
  client.abort();
});
