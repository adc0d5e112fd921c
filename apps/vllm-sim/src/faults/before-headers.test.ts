import { expect, test } from 'vitest';
import { eventually } from './eventually-for-test.ts';
import { startForTest } from '../start-for-test.ts';
import { FAULTS, type FaultName } from './fault-table.ts';
import { type RawAnswer, sendRaw } from './raw-client-for-test.ts';
import { readAnswer } from './read-events-for-test.ts';

const PATH = '/v1/chat/completions';
const CHAT = { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 3 };

const CASES: readonly [fault: string, check: (answer: RawAnswer) => void][] = [
  ['status', expectNested(500, { type: 'InternalServerError', message: /^EngineCore encounter/ })],
  ['status;status=400', expectNested(400, { message: /^This model's maximum context length is/ })],
  ['status;status=400;wording=0.15', expectNested(400, { message: /context length is only 8192/ })],
  ['status;status=400;wording=0.10', expectNested(400, { message: /is too large: 1000\./ })],
  ['status;status=400;wording=0.6.4', expectNested(400, { message: /\(8000 in the messages/ })],
  ['status;status=400;body=vllm', expectNested(400, { message: /^max_tokens must be/ })],
  ['status;status=401', expectJson(401, { error: 'Unauthorized' })],
  ['status;status=404', expectNested(404, { type: 'NotFoundError', param: 'model' })],
  ['status;status=422', expectNested(422, { type: 'UnprocessableEntityError' })],
  [
    'status;status=429;retry_after=7',
    (answer) => {
      expectNested(429, { message: /^Too Many Requests$/ })(answer);
      expect(answer.headers['retry-after']).toBe('7');
    },
  ],
  [
    'status;status=503',
    expectJson(503, { error: 'The model is currently scaling. Please try again later.' }),
  ],
  [
    'status;status=503;body=loading',
    expectJson(503, { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } }),
  ],
  ['status;status=502', expectPage(502, '<h1>502 Bad Gateway</h1>')],
  ['status;status=504', expectPage(504, '<h1>504 Gateway Timeout</h1>')],
  [
    'status;status=599;body=empty',
    (answer) => expect(answer).toMatchObject({ status: 599, end: 'complete', body: Buffer.of() }),
  ],
  ['status;status=418;body=string', expectJson(418, { error: "I'm a Teapot" })],
  ['reset', (answer) => expect(answer).toMatchObject({ status: undefined, end: 'reset' })],
  ['close', (answer) => expect(answer).toMatchObject({ bytes: Buffer.of(), end: 'incomplete' })],
  [
    'redirect;to=http://127.0.0.1:9/v1',
    (answer) =>
      expect(answer).toMatchObject({
        status: 307,
        headers: { location: 'http://127.0.0.1:9/v1' },
        end: 'complete',
      }),
  ],
];

test.for(CASES)('%s', async ([fault, check]) => {
  const sim = await startForTest();
  const headers = { 'x-sim-fault': fault };
  const name = fault.split(';', 1)[0] ?? '';
  for (const stream of [false, true]) {
    check(await sendRaw(sim.url, { path: PATH, body: { ...CHAT, stream }, headers }).whole);
  }
  await eventually(async () =>
    expect(await sim.state()).toMatchObject({
      received: 2,
      aborted_by_client: 0,
      faults: { [name]: 2 },
      recent: [
        { fault: name, ended: 'fault' },
        { fault: name, ended: 'fault' },
      ],
    }),
  );
});

test.for(['hang_before_headers', 'slow_headers;ms=600000'])(
  '%s sends nothing until the client leaves, and the engine hears of nothing',
  async (fault) => {
    const sim = await startForTest();
    const name = fault.split(';', 1)[0] ?? '';
    const headers = { 'x-sim-fault': fault };
    const exchange = sendRaw(sim.url, { path: PATH, body: CHAT, headers });
    await eventually(async () => expect((await sim.state()).faults).toEqual({ [name]: 1 }));
    // Answered after it, so an answer would have come.
    await sendRaw(sim.url, { path: PATH, body: CHAT }).whole;
    expect(exchange.soFar()).toMatchObject({ bytes: Buffer.of(), end: 'open' });
    exchange.leave();
    await eventually(async () =>
      expect(await sim.state()).toMatchObject({
        running: 0,
        aborted_by_client: 1,
        recent: [{ fault: name, ended: 'aborted_by_client' }, { ended: 'completed' }],
      }),
    );
    const metrics = await (await fetch(`${sim.url}/metrics`)).text();
    expect(metrics).toContain('vllm:generation_tokens_total{engine="0",model_name="qarr-sim"} 3.0');
  },
);

test.for([
  ['103', 1],
  ['102', 2],
  ['100', 3],
] as const)('interim responses of %s come before the answer', async ([status, count]) => {
  const sim = await startForTest();
  const headers = { 'x-sim-fault': `early_status;status=${status};count=${count}` };
  const body = { ...CHAT, stream: true };
  const answer = await sendRaw(sim.url, { path: PATH, body, headers }).whole;
  expect(answer.interim).toEqual(Array.from({ length: count }, () => Number(status)));
  expect(answer.status).toBe(200);
  expect(readAnswer(answer).isDone).toBe(true);
});

test('every fault before the headers is among these', () => {
  const known = (Object.keys(FAULTS) as FaultName[]).filter(
    (name) => FAULTS[name].family === 'before' && FAULTS[name].answer === 'none',
  );
  const tested = CASES.map(([fault]) => fault.split(';', 1)[0]);
  expect(new Set([...tested, 'hang_before_headers'])).toEqual(new Set(known));
});

test('a route that does not generate fails by its path', async () => {
  const sim = await startForTest('--fault', 'status;status=503;body=empty;path=/health');
  expect((await sendRaw(sim.url, { path: '/health' }).whole).status).toBe(503);
  expect((await sendRaw(sim.url, { path: '/v1/models' }).whole).status).toBe(200);
  expect((await sendRaw(sim.url, { path: PATH, body: CHAT }).whole).status).toBe(200);
  expect((await sim.state()).faults).toEqual({ status: 1 });
});

test.for([
  ['nonsense', 'fault'],
  ['status;status=200', 'status'],
  ['cut', 'x-sim-fault'],
] as const)('the header %s is refused by its field', async ([fault, field]) => {
  const sim = await startForTest();
  const response = await sim.post(PATH, CHAT, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-sim-fault': fault },
    body: JSON.stringify(CHAT),
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { field, message: expect.stringContaining(field) },
  });
  expect((await sim.state()).faults).toEqual({});
});

function expectNested(
  status: number,
  expected: { type?: string; param?: string; message?: RegExp },
): (answer: RawAnswer) => void {
  return (answer) => {
    expectJson(status, {
      error: {
        type: expected.type ?? expect.any(String),
        message: expect.stringMatching(expected.message ?? /./),
        param: expected.param ?? null,
        code: status,
      },
    })(answer);
  };
}

function expectJson(status: number, body: object): (answer: RawAnswer) => void {
  return (answer) => {
    expect(answer).toMatchObject({ status, end: 'complete' });
    expect(answer.headers['content-type']).toContain('application/json');
    expect(JSON.parse(answer.body.toString())).toEqual(body);
  };
}

function expectPage(status: number, text: string): (answer: RawAnswer) => void {
  return (answer) => {
    expect(answer).toMatchObject({ status, end: 'complete' });
    expect(answer.headers['content-type']).toContain('text/html');
    expect(answer.body.toString()).toContain(text);
  };
}
