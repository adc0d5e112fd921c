import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventually } from './eventually-for-test.ts';
import { startForTest } from '../start-for-test.ts';
import { FAULTS, type FaultName } from './fault-table.ts';
import { type RawAnswer, sendRaw } from './raw-client-for-test.ts';
import { readAnswer, readEvents } from './read-events-for-test.ts';

const PATH = '/v1/chat/completions';
/** The role, 20 tokens and [DONE]. */
const CHAT = {
  messages: [{ role: 'user', content: 'Tell me about rivers.' }],
  max_tokens: 20,
  ignore_eos: true,
  stream: true,
  request_id: 'same',
};
const EVENTS = 22;

type Seen = { answer: RawAnswer; plain: RawAnswer };
type Check = (seen: Seen) => void;

/** For each fault and some of its forms: how the log says that it ended, and what the client sees. */
const CASES: readonly [fault: string, ended: 'fault' | 'completed', check: Check][] = [
  ['cut', 'fault', expectPrefix({ events: 1, end: 'reset' })],
  ['cut;after=0', 'fault', expectPrefix({ events: 0, end: 'reset' })],
  ['cut;after=7', 'fault', expectPrefix({ events: 7, end: 'reset' })],
  ['cut;after_bytes=500', 'fault', expectPrefix({ bytes: 500, end: 'reset' })],
  ['eof;after=7', 'fault', expectPrefix({ events: 7, end: 'complete' })],
  ['eof;after_bytes=501', 'fault', expectPrefix({ bytes: 501, end: 'complete' })],
  [
    'cut_chunked;after=7',
    'fault',
    ({ answer, plain }) => {
      expect(answer.end).toBe('incomplete');
      const whole = plain.body.toString();
      expect(normal(whole).startsWith(normal(answer.body.toString()))).toBe(true);
      // Half of the eighth event.
      expect(readEvents(answer)).toHaveLength(7);
      expect(answer.body.toString()).not.toMatch(/\n\n$/);
      expect(answer.chunks.at(-1)?.length).toBeGreaterThan(0);
    },
  ],
  ['abort;after=7', 'fault', expectAbort(7)],
  ['abort;after=0', 'fault', expectAbort(0)],
  [
    'error_event;after=7',
    'fault',
    expectError({
      code: 500,
      message: expect.stringContaining('EngineCore encountered an issue.'),
      type: 'InternalServerError',
      param: null,
    }),
  ],
  [
    'error_event;after=7;form=flat;message=No luck',
    'fault',
    expectError({
      object: 'error',
      message: 'No luck',
      type: 'InternalServerError',
      param: null,
      code: 500,
    }),
  ],
  ['error_event;after=7;form=string;message=No luck', 'fault', expectError('No luck')],
  [
    'error_event;after=7;form=rust',
    'fault',
    expectError(expect.objectContaining({ code: 'server_error' })),
  ],
  [
    'error_event;after=7;form=bare;followed_by=end',
    'fault',
    ({ answer }) => {
      expect(answer.end).toBe('complete');
      expect(readEvents(answer)).toHaveLength(8);
      expect(JSON.parse(readEvents(answer)[7] ?? '')).toMatchObject({ object: 'error', code: 500 });
    },
  ],
  [
    'error_event;after=7;followed_by=cut',
    'fault',
    ({ answer }) => {
      expect(answer.end).toBe('reset');
      expect(readEvents(answer)[7]).toContain('"error"');
    },
  ],
  [
    'malformed_fatal;after=7',
    'fault',
    ({ answer }) => {
      expect(answer.end).toBe('complete');
      expect(readEvents(answer)).toHaveLength(8);
      expect(brokenEvents(answer)).toEqual([7]);
    },
  ],
  ['malformed;after=7', 'completed', expectBroken([7])],
  ['malformed;after=3;count=4', 'completed', expectBroken([3, 4, 5, 6])],
  [
    'no_finish_reason',
    'completed',
    ({ answer, plain }) =>
      expect(readAnswer(answer)).toEqual({ ...readAnswer(plain), finishReason: null }),
  ],
  [
    'unknown_finish_reason;reason=repetition',
    'completed',
    ({ answer, plain }) =>
      expect(readAnswer(answer)).toEqual({ ...readAnswer(plain), finishReason: 'repetition' }),
  ],
  [
    'no_done',
    'completed',
    ({ answer, plain }) =>
      expect(readAnswer(answer)).toEqual({ ...readAnswer(plain), isDone: false }),
  ],
  [
    'invalid_utf8;after=3',
    'completed',
    ({ answer, plain }) => {
      expect(() => readEvents(answer)).toThrow('not valid');
      const replaced = { ...answer, body: Buffer.from(answer.body.toString()) };
      const text = readAnswer(replaced).text;
      expect(text.match(/\uFFFD+/g)).toEqual(['\uFFFD\uFFFD']);
      expect(text.replace('\uFFFD\uFFFD', '')).toBe(readAnswer(plain).text);
    },
  ],
  [
    'duplicate_event;after=3;count=2',
    'completed',
    ({ answer, plain }) => {
      const events = readEvents(plain);
      const expected = [...events.slice(0, 4), events[3], events[3], ...events.slice(4)].join();
      expect(normal(readEvents(answer).join())).toBe(normal(expected));
    },
  ],
];

test.for(CASES)('%s', async ([fault, ended, check]) => {
  const sim = await startForTest('--profile', 'awq-24gb', '--time-scale', '0.05');
  const name = fault.split(';', 1)[0] ?? '';
  const headers = { 'x-sim-fault': fault };
  const plain = await sendRaw(sim.url, { path: PATH, body: CHAT }).whole;
  const answer = await sendRaw(sim.url, { path: PATH, body: CHAT, headers }).whole;
  expect(answer.status).toBe(200);
  check({ answer, plain });
  await eventually(async () =>
    expect(await sim.state()).toMatchObject({
      running: 0,
      waiting: 0,
      aborted_by_client: 0,
      faults: { [name]: 1 },
      recent: [{ ended: 'completed' }, { fault: name, ended }],
    }),
  );
});

test('every fault that breaks a stream is among these', () => {
  const breaking = (Object.keys(FAULTS) as FaultName[]).filter((name) => {
    const { family, answer } = FAULTS[name];
    return family === 'stream' && (answer === 'damaged' || answer === 'none');
  });
  const tested = CASES.map(([fault]) => fault.split(';', 1)[0]);
  expect(new Set(tested)).toEqual(new Set(breaking));
});

test('an answer that is ended early frees its slot at once', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  for (const fault of ['cut', 'eof', 'cut_chunked', 'abort', 'error_event', 'malformed_fatal']) {
    // Some 9 ms per token and thousands of tokens.
    const body = { ...CHAT, max_tokens: 8_000 };
    const headers = { 'x-sim-fault': fault };
    await sendRaw(sim.url, { path: PATH, body, headers }).whole;
    await eventually(async () => expect(await sim.state()).toMatchObject({ running: 0 }));
  }
});

test('a stream may be cut at any byte, and at the same random byte for the same seed', async () => {
  const [sim, again] = await Promise.all([
    startForTest('--seed', '5'),
    startForTest('--seed', '5'),
  ]);
  const plain = await sendRaw(sim.url, { path: PATH, body: CHAT }).whole;
  const length = plain.body.length;
  await fc.assert(
    fc.asyncProperty(fc.nat(length + 100), async (bytes) => {
      const headers = { 'x-sim-fault': `cut;after_bytes=${bytes}` };
      const answer = await sendRaw(sim.url, { path: PATH, body: CHAT, headers }).whole;
      expect(answer.end).toBe(bytes < length ? 'reset' : 'complete');
      expect(answer.body.length).toBe(Math.min(bytes, length));
    }),
    { numRuns: 60 },
  );
  const headers = { 'x-sim-fault': `cut;within_bytes=${length}` };
  const lengths = async (url: string) => {
    const seen: number[] = [];
    for (let run = 0; run < 8; run += 1) {
      seen.push((await sendRaw(url, { path: PATH, body: CHAT, headers }).whole).body.length);
    }
    return seen;
  };
  // The draw depends on how many requests asked by header before.
  const other = await startForTest('--seed', '5');
  const one = await lengths(again.url);
  expect(await lengths(other.url)).toEqual(one);
  expect(new Set(one).size).toBeGreaterThan(4);
});

test('every choice that has begun is aborted', async () => {
  const sim = await startForTest();
  const body = { ...CHAT, n: 3 };
  const headers = { 'x-sim-fault': 'abort;after=12' };
  const answer = await sendRaw(sim.url, { path: PATH, body, headers }).whole;
  expect(finishes(answer)).toEqual([
    [0, 'abort'],
    [1, 'abort'],
    [2, 'abort'],
  ]);
  expect(readAnswer(answer).isDone).toBe(true);
});

test('a stall lets through what comes before it, and nothing more until the client leaves', async () => {
  const sim = await startForTest();
  for (const fault of ['stall;after=7', 'drip;after=7;ms=600000']) {
    const exchange = sendRaw(sim.url, {
      path: PATH,
      body: CHAT,
      headers: { 'x-sim-fault': fault },
    });
    const name = fault.split(';', 1)[0] ?? '';
    // The engine has made the whole answer.
    await eventually(async () =>
      expect(await sim.state()).toMatchObject({ running: 0, waiting: 0, faults: { [name]: 1 } }),
    );
    await eventually(() => expect(readEvents(exchange.soFar())).toHaveLength(7));
    expect(exchange.soFar().end).toBe('open');
    exchange.leave();
    await eventually(async () =>
      expect((await sim.state()).recent.at(-1)).toMatchObject({
        fault: name,
        ended: 'aborted_by_client',
      }),
    );
  }
  expect((await sim.state()).aborted_by_client).toBe(2);
});

test('a client that leaves inside a compressed stream leaves nothing behind', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  const body = { ...CHAT, max_tokens: 8_000 };
  const headers = { 'x-sim-fault': 'gzip_bomb;bytes=60000000' };
  const exchange = sendRaw(sim.url, { path: PATH, body, headers });
  await eventually(() => expect(exchange.soFar().body.length).toBeGreaterThan(0));
  exchange.leave();
  await eventually(async () =>
    expect(await sim.state()).toMatchObject({ running: 0, aborted_by_client: 1 }),
  );
});

test('a stall may begin inside an event', async () => {
  const sim = await startForTest();
  const headers = { 'x-sim-fault': 'stall;after_bytes=333' };
  const exchange = sendRaw(sim.url, { path: PATH, body: CHAT, headers });
  await eventually(async () => expect((await sim.state()).faults).toEqual({ stall: 1 }));
  await eventually(() => expect(exchange.soFar().body).toHaveLength(333));
});

function expectPrefix(expected: { events?: number; bytes?: number; end: RawAnswer['end'] }): Check {
  return ({ answer, plain }) => {
    expect(answer.end).toBe(expected.end);
    const body = answer.body.toString();
    expect(normal(plain.body.toString()).startsWith(normal(body))).toBe(true);
    if (expected.bytes !== undefined) expect(answer.body.length).toBe(expected.bytes);
    if (expected.events !== undefined) {
      expect(readEvents(answer)).toHaveLength(expected.events);
      expect(body === '' || body.endsWith('\n\n')).toBe(true);
    }
  };
}

function expectAbort(events: number): Check {
  return ({ answer, plain }) => {
    expect(answer.end).toBe('complete');
    expect(readEvents(answer)).toHaveLength(events + 2);
    const { text, finishReason, isDone } = readAnswer(answer);
    expect({ finishReason, isDone }).toEqual({ finishReason: 'abort', isDone: true });
    expect(readAnswer(plain).text.startsWith(text)).toBe(true);
    expect(finishes(answer)).toEqual([[0, 'abort']]);
  };
}

function expectError(error: unknown): Check {
  return ({ answer }) => {
    expect(answer.end).toBe('complete');
    const events = readEvents(answer);
    expect(events).toHaveLength(9);
    expect(JSON.parse(events[7] ?? '')).toEqual({ error });
    expect(events[8]).toBe('[DONE]');
  };
}

function expectBroken(indexes: readonly number[]): Check {
  return ({ answer }) => {
    expect(answer.end).toBe('complete');
    expect(brokenEvents(answer)).toEqual(indexes);
    expect(readEvents(answer)).toHaveLength(EVENTS);
    expect(readEvents(answer).at(-1)).toBe('[DONE]');
  };
}

/** The indexes of events whose data are neither JSON nor [DONE]. */
function brokenEvents(answer: RawAnswer): number[] {
  return readEvents(answer).flatMap((data, index) => {
    try {
      if (data !== '[DONE]') JSON.parse(data);
      return [];
    } catch {
      // What is looked for.
      return [index];
    }
  });
}

function finishes(answer: RawAnswer): [number, string][] {
  type Chunk = { choices: { index: number; finish_reason: string | null }[] };
  return readEvents(answer)
    .filter((data) => data !== '[DONE]')
    .flatMap((data): Chunk['choices'] => (JSON.parse(data) as Chunk).choices)
    .flatMap(({ index, finish_reason: finish }) =>
      finish === null ? [] : [[index, finish] satisfies [number, string]],
    )
    .toSorted(([one], [other]) => one - other);
}

/** Two answers may have been created in different seconds. */
function normal(text: string): string {
  return text.replaceAll(/"created":\d+/g, '"created":0');
}
