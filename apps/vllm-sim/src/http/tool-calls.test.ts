import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonOf, startForTest, type TestSimulator } from '../start-for-test.ts';
import { satisfies } from '../text/json-schema-for-test.ts';

const WEATHER = tool('get_weather', {
  type: 'object',
  properties: {
    city: { type: 'string', minLength: 1 },
    days: { type: 'integer', minimum: 1, maximum: 7 },
    units: { enum: ['°C', 'a " and a }', '"quoted" {brace}'] },
    place: { type: 'object', properties: { lat: { type: 'number' } }, required: ['lat'] },
  },
  required: ['city', 'units', 'place'],
});
const SEARCH = tool('search', { type: 'object', properties: {} });
const tools = [WEATHER, SEARCH];

type Call = { id: string; type: string; function: { name: string; arguments: string } };
type Delta = {
  content?: string | null;
  tool_calls?: { index: number; id?: string; function: { name?: string; arguments?: string } }[];
};
type Choice = { finish_reason: string; message: { content: string | null; tool_calls?: Call[] } };

function tool(name: string, parameters: object) {
  return { type: 'function', function: { name, description: `The tool ${name}`, parameters } };
}

async function ask(sim: TestSimulator, body: object): Promise<Choice> {
  const response = await sim.post('/v1/chat/completions', { tools, ...asking('Hi'), ...body });
  const { choices } = await jsonOf<{ choices: [Choice] }>(response);
  return choices[0];
}

async function askStream(
  sim: TestSimulator,
  body: object,
): Promise<{ deltas: Delta[]; finish: string | null | undefined }> {
  const asked = { tools, ...asking('Hi'), ...body, stream: true };
  const text = await (await sim.post('/v1/chat/completions', asked)).text();
  const events = text.split('\n\n').slice(0, -2);
  const choices = events.flatMap((event) => JSON.parse(event.slice('data: '.length)).choices) as {
    delta: Delta;
    finish_reason: string | null;
  }[];
  return {
    deltas: choices.map(({ delta }) => delta),
    finish: choices.at(-1)?.finish_reason,
  };
}

function asking(content: string): object {
  return { messages: [{ role: 'user', content }] };
}

test.for([
  ['names one', asking('Please search for it.'), 'search'],
  ['asks for a tool', asking('Use a tool.'), 'get_weather'],
  ['does neither', asking('Hi'), undefined],
  ['names one that may not be called', { ...asking('search'), tool_choice: 'none' }, undefined],
  ['must call one', { tool_choice: 'required' }, 'get_weather'],
  [
    'must call this one',
    { tool_choice: { type: 'function', function: { name: 'search' } } },
    'search',
  ],
] as const)('a conversation that %s', async ([, body, name]) => {
  const sim = await startForTest();
  const { message, finish_reason: finish } = await ask(sim, body);
  expect(message.tool_calls?.map((call) => call.function.name)).toEqual(
    name === undefined ? undefined : [name],
  );
  const named = 'tool_choice' in body && typeof body.tool_choice === 'object';
  expect(finish).toBe(name === undefined || named ? 'stop' : 'tool_calls');
});

test('a tool call says what vLLM says beside it', async () => {
  const sim = await startForTest();
  const open = await ask(sim, asking('Use a tool.'));
  expect(open.message.content).toBe(null);
  expect(open.message.tool_calls).toMatchObject([
    { id: expect.stringMatching(/^chatcmpl-tool-[\da-f]{16}$/), type: 'function' },
  ]);
  const forced = await ask(sim, { tool_choice: 'required' });
  expect(forced.message.content).toBe('');
  const old = await startForTest('--persona', '0.6.4');
  const { message } = await ask(old, asking('Use a tool.'));
  expect(message.tool_calls?.[0]?.id).toMatch(/^chatcmpl-tool-[\da-f]{32}$/);
});

test('a streamed tool call comes as its name, then its arguments, and they are those of the whole', async () => {
  const sim = await startForTest();
  const named = { type: 'function', function: { name: 'get_weather' } };
  await fc.assert(
    fc.asyncProperty(
      fc.nat(1000),
      fc.constantFrom('auto', 'required', named),
      async (seed, choice) => {
        const body = { ...asking('Use a tool.'), tool_choice: choice, seed };
        const { deltas, finish } = await askStream(sim, body);
        const pieces = deltas.flatMap((delta) => delta.tool_calls ?? []);
        expect(pieces[0]).toMatchObject({
          id: expect.stringMatching(/^chatcmpl-tool-/),
          type: 'function',
          index: 0,
          function: { name: 'get_weather', arguments: '' },
        });
        expect(pieces.length).toBeGreaterThan(5);
        for (const piece of pieces.slice(1)) {
          expect(piece).toEqual({ index: 0, function: { arguments: expect.any(String) } });
        }
        expect(deltas.map((delta) => delta.content ?? '').join('')).toBe('');

        const streamed = pieces.map((piece) => piece.function.arguments ?? '').join('');
        const { message, finish_reason: reason } = await ask(sim, body);
        expect(streamed).toBe(message.tool_calls?.[0]?.function.arguments);
        expect(finish).toBe(reason);
        const { parameters } = WEATHER.function;
        expect(satisfies(JSON.parse(streamed), parameters, parameters)).toBe(true);
      },
    ),
    { numRuns: 40 },
  );
});

test('a conversation goes on with text after the result of a tool', async () => {
  const sim = await startForTest();
  const { message } = await ask(sim, asking('Use a tool.'));
  const [call] = message.tool_calls ?? [];
  const messages = [
    { role: 'user', content: 'Use a tool.' },
    { role: 'assistant', content: null, tool_calls: [call] },
    { role: 'tool', tool_call_id: call?.id, content: '{"degrees": 21}' },
  ];
  const answer = await ask(sim, { messages });
  expect(answer.finish_reason).toBe('stop');
  expect(answer.message.content).not.toBe('');
});

test('a tool call that is cut off has reason length and the ids of all its tokens', async () => {
  const sim = await startForTest();
  const body = { ...asking('Use a tool.'), max_tokens: 12, return_token_ids: true };
  const { finish } = await askStream(sim, body);
  expect(finish).toBe('length');
  const text = await (
    await sim.post('/v1/chat/completions', { tools, ...body, stream: true })
  ).text();
  const ids = [...text.matchAll(/"token_ids":\[([\d,]*)\]/g)].flatMap(([, list]) =>
    list === '' ? [] : (list ?? '').split(','),
  );
  // The first list is the prompt's, under another name.
  expect(ids).toHaveLength(12);
  const whole = await ask(sim, body);
  expect(whole).toMatchObject({ finish_reason: 'length' });
  expect(whole.message.content).toContain('<tool_call>');
});

test.for([
  ['current', { tools: [] }, '`tools` must not be an empty array.'],
  [
    'current',
    { tools: undefined, tool_choice: 'auto' },
    'When using `tool_choice`, `tools` must be set.',
  ],
  [
    'current',
    { tool_choice: 'sometimes' },
    'Only named tools, \\"none\\", \\"auto\\" or \\"required\\" are supported.',
  ],
  [
    'current',
    { tool_choice: { type: 'function', function: { name: 'fly' } } },
    'The tool specified in `tool_choice` does not match any of the specified `tools`',
  ],
  [
    'current',
    { tools: [tool('f', { type: 'string', pattern: 'a' })] },
    '`tools` is not simulated for pattern.',
  ],
  ['0.6.4', { tool_choice: 'required' }, '`tool_choice` must either be a named tool'],
] as const)('%s refuses %j', async ([persona, body, message]) => {
  const sim = await startForTest('--persona', persona);
  const response = await sim.post('/v1/chat/completions', { tools, ...asking('Hi'), ...body });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(message);
});
