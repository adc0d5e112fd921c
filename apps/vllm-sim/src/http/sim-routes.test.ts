import { connect } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { eventually } from '../faults/eventually-for-test.ts';
import { sendRaw } from '../faults/raw-client-for-test.ts';
import { jsonOf, startForTest } from '../start-for-test.ts';

const CHAT = { messages: [{ role: 'user', content: 'confidential' }], max_tokens: 2, stream: true };
const PATH = '/v1/chat/completions';

type FaultList = {
  injected: Record<string, number>;
  rules: { fault: { name: string }; matched: number; injected: number }[];
};

test('rules are added, listed with their counts, and cleared', async () => {
  const sim = await startForTest();
  const list = async () => jsonOf<FaultList>(await fetch(`${sim.url}/_sim/faults`));
  const rule = { fault: 'no_done', params: {}, when: { nth: [2] }, times: 1 };
  const added = await sim.post('/_sim/faults', rule);
  expect(added.status).toBe(201);
  expect(await added.json()).toMatchObject({ kind: 'rule', rule: { fault: { name: 'no_done' } } });
  const streams: string[] = [];
  for (let sent = 0; sent < 3; sent += 1) streams.push(await (await sim.post(PATH, CHAT)).text());
  expect(streams.map((stream) => stream.includes('[DONE]'))).toEqual([true, false, true]);
  expect(await list()).toMatchObject({
    injected: { no_done: 1 },
    rules: [{ id: 1, fault: { name: 'no_done' }, when: { nth: [2] }, matched: 3, injected: 1 }],
  });
  const cleared = await fetch(`${sim.url}/_sim/faults`, { method: 'DELETE' });
  expect(await cleared.json()).toEqual({ injected: {}, rules: [] });
});

test.for([
  [{ fault: 'none' }, 'fault'],
  [{ fault: 'cut', params: { after: 'x' } }, 'params.after'],
  [[], 'the rule'],
] as const)('the rule %j is refused by its field', async ([rule, field]) => {
  const sim = await startForTest();
  const response = await sim.post('/_sim/faults', rule);
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({ error: { field } });
});

test('there is a limit to rules', async () => {
  const sim = await startForTest();
  const statuses = new Set<number>();
  for (let added = 0; added < 101; added += 1) {
    statuses.add((await sim.post('/_sim/faults', { fault: 'cut' })).status);
  }
  expect([...statuses]).toEqual([201, 409]);
});

test('the state shows who asked and how it ended, and no text', async () => {
  const sim = await startForTest();
  const headers = {
    'content-type': 'application/json',
    'x-request-id': 'r-1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  };
  await (
    await sim.post(PATH, CHAT, { method: 'POST', headers, body: JSON.stringify(CHAT) })
  ).text();
  await eventually(async () =>
    expect((await sim.state()).recent).toEqual([
      {
        path: PATH,
        fields: ['messages', 'max_tokens', 'stream'],
        request_id: 'r-1',
        traceparent: headers.traceparent,
        fault: null,
        ended: 'completed',
      },
    ]),
  );
  expect(JSON.stringify(await sim.state())).not.toContain('confidential');
});

test('the log keeps a bounded part of what clients send', async () => {
  const sim = await startForTest();
  const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`field${index}`, 0]));
  const headers = { 'content-type': 'application/json', 'x-request-id': 'r'.repeat(5_000) };
  const body = JSON.stringify({ ['x'.repeat(5_000)]: 0, ...many });
  for (let sent = 0; sent < 120; sent += 1) {
    await (await sim.post(PATH, {}, { method: 'POST', headers, body })).text();
  }
  const { received, recent } = await sim.state();
  expect(received).toBe(120);
  expect(recent).toHaveLength(100);
  for (const { fields, request_id: id } of recent) {
    expect(fields).toHaveLength(100);
    expect(Math.max(...fields.map((field) => field.length))).toBe(200);
    expect(id).toHaveLength(200);
  }
});

test('open connections are counted, with the one that asks', async () => {
  const sim = await startForTest();
  const { hostname, port } = new URL(sim.url);
  const sockets = Array.from({ length: 3 }, () => connect(Number(port), hostname));
  onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
  await eventually(async () => expect(await countConnections(sim.url)).toBe(4));
  for (const socket of sockets) socket.destroy();
  await eventually(async () => expect(await countConnections(sim.url)).toBe(1));
});

/** Over a connection that closes: a pool would keep some. */
async function countConnections(url: string): Promise<number> {
  const { body } = await sendRaw(url, { path: '/_sim/state' }).whole;
  return (JSON.parse(body.toString()) as { connections: number }).connections;
}
