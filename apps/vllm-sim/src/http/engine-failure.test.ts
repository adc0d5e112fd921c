import { expect, onTestFinished, test } from 'vitest';
import { buildApp } from '../app.ts';
import type { Engine } from '../engine/engine.ts';
import type { Output } from '../engine/generation.ts';
import { createEngineMetrics } from '../metrics/engine-metrics.ts';
import { findPersona } from '../personas.ts';
import type { EngineDoor } from './engine-door.ts';

const messages = [{ role: 'user', content: 'Hi' }];
const DEAD_MESSAGE = 'EngineCore encountered an issue. See stack trace (above) for the root cause.';
const NESTED = {
  error: { message: DEAD_MESSAGE, type: 'InternalServerError', param: null, code: 500 },
};

/** Says one word, then fails. */
const FAILING: readonly Output[] = [
  { tokenIds: [600], text: 'One' },
  { tokenIds: [], text: '', finish: { reason: 'error', stopReason: null } },
];

/** A server whose engine gives every sequence these outputs. */
async function serve(
  personaName: string,
  engine: { outputs: readonly Output[]; door?: Partial<EngineDoor> },
): Promise<string> {
  const persona = findPersona(personaName);
  if (persona === undefined) throw new Error(`no persona ${personaName}`);
  const scripted: Engine & EngineDoor = {
    submit({ onOutput }) {
      queueMicrotask(() => engine.outputs.forEach(onOutput));
      return { abort() {} };
    },
    counts: () => ({ running: 0, waiting: 0 }),
    stop() {},
    ...engine.door,
  };
  const app = buildApp({
    engine: scripted,
    metrics: createEngineMetrics(),
    model: { names: ['qarr-sim'], modelLenMax: 100, created: 0 },
    cache: { blockTokens: 16, kvTokensMax: 1600, modelLenMax: 100 },
    persona,
    seed: 0,
    apiKey: undefined,
    requestIdHeaders: false,
    keepAliveIntervalMs: 0,
    loadTracking: false,
  });
  onTestFinished(() => app.close());
  return app.listen({ host: '127.0.0.1', port: 0 });
}

function ask(url: string, body: object): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages, ...body }),
  });
}

test('current tells an open stream of the failure and ends it in order', async () => {
  const url = await serve('current', { outputs: FAILING });
  const response = await ask(url, { stream: true });
  expect(response.status).toBe(200);
  const events = (await response.text()).split('\n\n').slice(-4);
  expect(events[0]).toContain('"content":"One"');
  expect(events.slice(1)).toEqual([`data: ${JSON.stringify(NESTED)}`, 'data: [DONE]', '']);
});

test('0.6.4 cuts an open stream off', async () => {
  const url = await serve('0.6.4', { outputs: FAILING });
  const response = await ask(url, { stream: true });
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow('terminated');
});

test('generic tells an open stream in its own way and ends it', async () => {
  const url = await serve('generic', { outputs: FAILING });
  const events = (await (await ask(url, { stream: true })).text()).split('\n\n');
  expect(events.slice(-2)).toEqual([`data: ${JSON.stringify({ error: DEAD_MESSAGE })}`, '']);
});

test.for([
  ['current', JSON.stringify(NESTED)],
  ['0.6.4', ''],
  ['generic', JSON.stringify({ detail: DEAD_MESSAGE })],
] as const)('%s answers with a 500 where nothing is streamed', async ([persona, body]) => {
  const url = await serve(persona, { outputs: FAILING });
  const response = await ask(url, {});
  expect([response.status, await response.text()]).toEqual([500, body]);
});

test.for([
  ['current', 503],
  ['0.6.4', 500],
] as const)('%s with a dead engine is not healthy and takes nothing', async ([persona, status]) => {
  const url = await serve(persona, { outputs: [], door: { isDead: () => true } });
  expect((await fetch(`${url}/health`)).status).toBe(status);
  for (const stream of [true, false]) expect((await ask(url, { stream })).status).toBe(500);
});

test('a full queue is a 503', async () => {
  const asked: number[] = [];
  const url = await serve('0.32', {
    outputs: [],
    door: {
      admit({ choices }) {
        asked.push(choices);
        return { kind: 'refused', reason: 'max_num_queued_reqs' };
      },
    },
  });
  const response = await ask(url, { stream: true, n: 3 });
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ error: { code: 503 } });
  expect(asked).toEqual([3]);
});
