import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventually } from './eventually-for-test.ts';
import { startForTest } from '../start-for-test.ts';
import { FAULTS, type FaultName, type NamesOf } from './fault-table.ts';
import { sendRaw } from './raw-client-for-test.ts';
import { readAnswer, readEvents } from './read-events-for-test.ts';

/** Long enough for words with é and ï, and as a rule for an emoji. */
const CHAT = {
  messages: [{ role: 'user', content: 'Tell me about rivers.' }],
  max_tokens: 120,
  ignore_eos: true,
  stream: true,
  stream_options: { include_usage: true },
  return_token_ids: true,
  request_id: 'same',
};
const CHAT_PATH = '/v1/chat/completions';

/** Parameters under which the answer arrives within the test. */
const QUICK: Partial<Record<FaultName, string>> = {
  stall: ';ms=1',
  drip: ';ms=1',
  slow_headers: ';ms=1',
  gzip_bomb: ';bytes=3000000',
  huge_line: ';bytes=300000',
};

const WHOLE = (Object.keys(FAULTS) as FaultName[]).filter((name) => {
  const { answer, family } = FAULTS[name];
  return family !== 'engine' && (answer === 'whole' || answer === 'late');
});

test.for([
  ...WHOLE,
  'crlf;split=yes',
  'slice;bytes=0',
  'slice;bytes=7',
  'early_status;status=100;count=3',
])('the answer is whole in spite of %s, which is counted once', async (fault) => {
  const sim = await startForTest();
  const name = fault.split(';', 1)[0] ?? '';
  const text = fault + (isQuick(fault) ? QUICK[fault] : '');
  const plain = await sendRaw(sim.url, { path: CHAT_PATH, body: CHAT }).whole;
  const headers = { 'x-sim-fault': text };
  const faulty = await sendRaw(sim.url, { path: CHAT_PATH, body: CHAT, headers }).whole;
  expect(faulty.end).toBe('complete');
  expect(readAnswer(faulty)).toEqual(readAnswer(plain));
  expect(readAnswer(faulty)).toMatchObject({ finishReason: 'length', isDone: true });
  expect(readAnswer(faulty).tokenIds).toHaveLength(CHAT.max_tokens);
  await eventually(async () =>
    expect(await sim.state()).toMatchObject({
      faults: { [name]: 1 },
      recent: [
        { fault: null, ended: 'completed' },
        { fault: name, ended: 'completed' },
      ],
    }),
  );
});

test('any harmless fault with any parameters leaves any answer whole', async () => {
  const sim = await startForTest();
  const harmless = fc.oneof(
    fc.integer({ min: 0, max: 40 }).map((bytes) => `slice;bytes=${bytes}`),
    fc.integer({ min: 2, max: 200 }).map((chunks) => `merged;chunks=${chunks}`),
    fc.nat(200).map((after) => `huge_line;after=${after};bytes=5000`),
    fc.nat(200).map((after) => `stall;after=${after};ms=1`),
    fc.nat(20_000).map((bytes) => `stall;after_bytes=${bytes};ms=1`),
    fc.constantFrom(...WHOLE.filter((name) => !isQuick(name))),
  );
  const requests = fc.record({
    chat: fc.boolean(),
    n: fc.constantFrom(1, 1, 3),
    seed: fc.nat(1_000),
    maxTokens: fc.integer({ min: 1, max: 150 }),
    ids: fc.boolean(),
    usage: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(harmless, requests, async (fault, request) => {
      const body = {
        ...(request.chat ? { messages: CHAT.messages } : { prompt: 'Once upon a time' }),
        n: request.n,
        seed: request.seed,
        max_tokens: request.maxTokens,
        stream: true,
        return_token_ids: request.ids,
        stream_options: { include_usage: request.usage },
      };
      const path = request.chat ? CHAT_PATH : '/v1/completions';
      const [plain, faulty] = await Promise.all([
        sendRaw(sim.url, { path, body }).whole,
        sendRaw(sim.url, { path, body, headers: { 'x-sim-fault': fault } }).whole,
      ]);
      expect(byChoice(faulty)).toEqual(byChoice(plain));
      expect(readAnswer(faulty).usage).toEqual(readAnswer(plain).usage);
    }),
    { numRuns: 100 },
  );
}, 60_000);

/** What each fault really does to the wire: without this, doing nothing would pass above. */
const LOOKS: Partial<Record<NamesOf<'stream'>, (seen: Seen) => void>> = {
  wrong_content_type: ({ headers }) => expect(headers['content-type']).toBe('text/html'),
  gzip: ({ headers }) => expect(headers['content-encoding']).toBe('gzip'),
  gzip_bomb: ({ bytes, body }) => {
    expect(bytes).toBeLessThan(60_000);
    expect(readEvents({ headers: { 'content-encoding': 'gzip' }, body })).not.toEqual([]);
  },
  huge_line: ({ text }) =>
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBe(300_000),
  empty_delta: ({ text }) => expect(text.match(/"delta":\{\}/g)).toHaveLength(120),
  // The role, 120 tokens by 5, usage, [DONE].
  merged: ({ events }) => expect(events).toBe(1 + 24 + 2),
  extra_fields: ({ text }) => expect(text).toContain('x_finish_reason'),
  null_fields: ({ text }) => expect(text).toContain('"tool_calls":null'),
  crlf: ({ text }) => expect(text.match(/(?<!\r)\n/)).toBeNull(),
  lone_cr: ({ text }) => expect(text).not.toContain('\n'),
  no_space_after_colon: ({ text }) => expect(text).not.toContain('data: '),
  comments: ({ text, events }) => expect(text.match(/^: keep-alive$/gm)).toHaveLength(events),
  multi_line_data: ({ text }) => expect(text).toContain('data: {\ndata:  "id"'),
  event_names: ({ text, events }) => expect(text.match(/^event: message$/gm)).toHaveLength(events),
  event_ids: ({ text, events }) => expect(text.match(/^id: \d+$/gm)).toHaveLength(events),
  bom: ({ body }) => expect(body.subarray(0, 3)).toEqual(Buffer.from([0xef, 0xbb, 0xbf])),
  slice: ({ chunks, body }) => expect(chunks).toBe(body.length),
  split_utf8: ({ pieces }) => {
    const broken = pieces.filter((piece) => !Buffer.from(piece.toString()).equals(piece));
    expect(broken.length).toBeGreaterThan(0);
    // No piece has a whole character of several bytes.
    for (const piece of pieces) expect(piece.toString()).not.toMatch(/[\u0080-\uFFFC]/u);
  },
};
type Seen = {
  headers: Readonly<Record<string, string>>;
  bytes: number;
  body: Buffer;
  text: string;
  chunks: number;
  pieces: readonly Buffer[];
  events: number;
};

test.for(Object.entries(LOOKS))('%s shows on the wire', async ([name, look]) => {
  const sim = await startForTest();
  const headers = { 'x-sim-fault': name + (isQuick(name) ? QUICK[name] : '') };
  const answer = await sendRaw(sim.url, { path: CHAT_PATH, body: CHAT, headers }).whole;
  look({
    headers: answer.headers,
    bytes: answer.bytes.length,
    body: answer.body,
    text: answer.body.toString(),
    chunks: answer.chunks.length,
    pieces: answer.chunks,
    events: readEvents(answer).length,
  });
});

test('every harmless fault of a stream has its look', () => {
  const shown = WHOLE.filter(
    (name) => FAULTS[name].family === 'stream' && FAULTS[name].answer === 'whole',
  );
  expect(Object.keys(LOOKS).toSorted()).toEqual(shown.toSorted());
});

test('a split line end comes in two chunks', async () => {
  const sim = await startForTest();
  const headers = { 'x-sim-fault': 'crlf;split=yes' };
  const { chunks } = await sendRaw(sim.url, { path: CHAT_PATH, body: CHAT, headers }).whole;
  for (const chunk of chunks) expect(chunk.toString()).not.toContain('\r\n');
});

test('a fault that changes nothing is not counted', async () => {
  const sim = await startForTest();
  // One token: nothing to merge, and [DONE] comes before the position.
  for (const fault of [
    'merged',
    'cut;after=50',
    'stall;after_bytes=60000',
    'duplicate_event;after=9',
  ]) {
    const body = { prompt: 'Once', max_tokens: 1, stream: true };
    const headers = { 'x-sim-fault': fault };
    const answer = await sendRaw(sim.url, { path: '/v1/completions', body, headers }).whole;
    expect(readAnswer(answer)).toMatchObject({ finishReason: 'length', isDone: true });
  }
  expect((await sim.state()).faults).toEqual({});
});

function isQuick(name: string): name is FaultName {
  return Object.hasOwn(QUICK, name);
}

/** The text, ids and finish reason of each choice. */
function byChoice(answer: Parameters<typeof readEvents>[0]): Map<number, unknown> {
  type Choice = {
    index: number;
    delta?: { content?: string | null };
    text?: string;
    token_ids?: number[] | null;
    finish_reason: string | null;
  };
  const choices = new Map<number, { text: string; ids: number[]; finish: string | null }>();
  for (const data of readEvents(answer)) {
    if (data === '[DONE]') continue;
    const chunk: { choices: Choice[] } = JSON.parse(data);
    for (const choice of chunk.choices) {
      const sum = choices.get(choice.index) ?? { text: '', ids: [], finish: null };
      choices.set(choice.index, {
        text: sum.text + (choice.delta?.content ?? choice.text ?? ''),
        ids: [...sum.ids, ...(choice.token_ids ?? [])],
        finish: choice.finish_reason ?? sum.finish,
      });
    }
  }
  return choices;
}
