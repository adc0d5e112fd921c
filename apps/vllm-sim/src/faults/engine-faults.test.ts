import { expect, test } from 'vitest';
import { eventually } from './eventually-for-test.ts';
import { startForTest, type TestSimulator } from '../start-for-test.ts';
import { type EngineFaults, planEngineFault, type ServerFaults } from './engine-faults.ts';
import { FAULTS, type FaultName, isOfFamily } from './fault-table.ts';
import { sendRaw } from './raw-client-for-test.ts';
import { readAnswer } from './read-events-for-test.ts';
import { readFaultText } from './read-rule.ts';

const PATH = '/v1/chat/completions';
const CHAT = { messages: [{ role: 'user', content: 'Hi' }], stream: true };
/** Runs until someone ends it. */
const ENDLESS = { ...CHAT, ignore_eos: true };

function post(sim: TestSimulator, rule: object): Promise<Response> {
  return sim.post('/_sim/faults', rule);
}

test('a server that refuses connections listens again on its port', async () => {
  const sim = await startForTest();
  const response = await post(sim, { fault: 'refuse_connections', params: { ms: 300 } });
  expect(response.status).toBe(202);
  await eventually(async () => {
    expect((await sendRaw(sim.url, { path: '/health' }).whole).end).toBe('reset');
  });
  await eventually(async () =>
    expect((await sim.state()).faults).toEqual({ refuse_connections: 1 }),
  );
  expect((await sendRaw(sim.url, { path: '/health' }).whole).status).toBe(200);
});

test('an open stream outlives a time without new connections', async () => {
  const sim = await startForTest('--profile', 'awq-24gb', '--time-scale', '0.2');
  const body = { ...ENDLESS, max_tokens: 200 };
  const exchange = sendRaw(sim.url, { path: PATH, body });
  await eventually(async () => expect((await sim.state()).running).toBe(1));
  await post(sim, { fault: 'refuse_connections', params: { ms: 100 } });
  expect(readAnswer(await exchange.whole)).toMatchObject({ finishReason: 'length', isDone: true });
});

test('a restart cuts every stream and comes back with another model and the same rules', async () => {
  const sim = await startForTest('--profile', 'awq-24gb', '--fault', 'reset;nth=3');
  const exchange = sendRaw(sim.url, { path: PATH, body: ENDLESS });
  await eventually(() => expect(exchange.soFar().chunks.length).toBeGreaterThan(2));
  await post(sim, { fault: 'restart', params: { ms: 200, served_model_name: 'other' } });
  const answer = await exchange.whole;
  expect(answer.end).toBe('incomplete');
  expect((await sendRaw(sim.url, { path: '/health' }).whole).status).toBeUndefined();
  const models = await eventually(async () => (await fetch(`${sim.url}/v1/models`)).text());
  expect(JSON.parse(models)).toMatchObject({ data: [{ id: 'other' }] });
  expect(await sim.state()).toMatchObject({
    running: 0,
    received: 1,
    aborted_by_client: 0,
    faults: { restart: 1 },
    recent: [{ fault: 'restart', ended: 'fault' }],
  });
  const body = { ...CHAT, max_tokens: 2 };
  const next = await sendRaw(sim.url, { path: PATH, body: { ...body, model: 'other' } }).whole;
  expect(next.status).toBe(200);
  // The third request that the rule has seen, before and after.
  expect((await sendRaw(sim.url, { path: PATH, body }).whole).end).toBe('reset');
});

test('a restart may be the fate of the nth request', async () => {
  const sim = await startForTest('--fault', 'restart;ms=50;nth=2');
  const body = { ...CHAT, max_tokens: 2 };
  expect((await sendRaw(sim.url, { path: PATH, body }).whole).end).toBe('complete');
  expect((await sendRaw(sim.url, { path: PATH, body }).whole).end).not.toBe('complete');
  await eventually(async () => expect((await sim.state()).faults).toEqual({ restart: 1 }));
});

test('a shutdown ends what runs with finish reason abort, and then the server is gone', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  const exchange = sendRaw(sim.url, { path: PATH, body: ENDLESS });
  await eventually(() => expect(exchange.soFar().chunks.length).toBeGreaterThan(2));
  await post(sim, { fault: 'shutdown' });
  expect(readAnswer(await exchange.whole)).toMatchObject({ finishReason: 'abort', isDone: true });
  await sim.gone;
  expect((await sendRaw(sim.url, { path: '/health' }).whole).status).toBeUndefined();
});

test('a stop during a restart is the end', async () => {
  const sim = await startForTest();
  await post(sim, { fault: 'restart', params: { ms: 600_000 } });
  await eventually(async () => {
    expect((await sendRaw(sim.url, { path: '/health' }).whole).end).toBe('reset');
  });
  await sim.stop();
  await sim.gone;
});

test('a flag brings the fault about at the start', async () => {
  const sim = await startForTest('--time-scale', '0', '--fault', 'shutdown');
  await sim.gone;
});

/** What each fault asks of an engine and a server that can do everything. */
const CALLS: readonly [fault: string, calls: readonly (readonly unknown[])[]][] = [
  ['hang', [['hang']]],
  ['resume', [['resume']]],
  ['die', [['die'], ['endAfterDeath']]],
  ['abort_all', [['abortAll']]],
  ['kv_shrink;blocks=5', [['resizeKv', 5]]],
  ['slow;factor=2.5', [['setSlowFactor', 2.5]]],
  ['shutdown', [['shutDown', { drainMs: undefined }]]],
  ['shutdown;mode=drain;ms=70', [['shutDown', { drainMs: 70 }]]],
  ['refuse_connections;ms=8', [['refuseConnections', 8]]],
  ['restart;ms=9', [['restart', { downMs: 9, modelName: undefined }]]],
];

test.for(CALLS)('%s is told to the engine or its server', ([text, expected]) => {
  const calls: unknown[][] = [];
  const plan = planEngineFault(engineFault(text), {
    engine: recorder<Required<EngineFaults>>(calls, [
      'stop',
      'hang',
      'resume',
      'die',
      'drain',
      'resizeKv',
      'abortAll',
      'setSlowFactor',
    ]),
    server: recorder<ServerFaults>(calls, [
      'refuseConnections',
      'endAfterDeath',
      'shutDown',
      'restart',
    ]),
  });
  expect(calls).toEqual([]);
  plan?.();
  expect(calls).toEqual(expected);
});

test('every fault of the engine is among these', () => {
  const known = (Object.keys(FAULTS) as FaultName[]).filter(
    (name) => FAULTS[name].family === 'engine',
  );
  const tested = CALLS.map(([text]) => text.split(';', 1)[0]);
  expect(new Set(tested)).toEqual(new Set(known));
});

function engineFault(text: string): Parameters<typeof planEngineFault>[0] {
  const fault = readFaultText(text);
  if (!isOfFamily(fault, 'engine')) throw new Error(`${fault.name} is no fault of the engine`);
  return fault;
}

/** Notes each call with its arguments. */
function recorder<Target>(calls: unknown[][], methods: readonly (keyof Target & string)[]): Target {
  const entries = methods.map((method) => [
    method,
    (...args: unknown[]) => void calls.push([method, ...args]),
  ]);
  return Object.fromEntries(entries) as Target;
}
