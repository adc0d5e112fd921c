import { expect, test } from 'vitest';
import { jsonOf, startForTest, type TestSimulator, textOf } from '../start-for-test.ts';
import { satisfies } from '../text/json-schema-for-test.ts';

const SCHEMA = {
  type: 'object',
  properties: {
    title: { type: 'string', minLength: 3, maxLength: 40 },
    tags: { type: 'array', items: { enum: ['a', 'b'] }, minItems: 2, maxItems: 4 },
    parent: { anyOf: [{ $ref: '#/$defs/person' }, { type: 'null' }] },
  },
  required: ['title', 'tags', 'parent'],
  $defs: {
    person: { type: 'object', properties: { age: { type: 'integer' } }, required: ['age'] },
  },
};

type Chat = { choices: [{ message: { content: string }; finish_reason: string }] };

async function ask(sim: TestSimulator, body: object): Promise<Chat['choices'][0]> {
  const response = await sim.post('/v1/chat/completions', {
    messages: [{ role: 'user', content: 'Describe it.' }],
    ...body,
  });
  expect(response.status).toBe(200);
  return (await jsonOf<Chat>(response)).choices[0];
}

test.for([
  ['current', { response_format: { type: 'json_schema', json_schema: { schema: SCHEMA } } }],
  ['current', { structured_outputs: { json: SCHEMA } }],
  ['current', { structured_outputs: { json: JSON.stringify(SCHEMA) } }],
  ['0.6.4', { guided_json: SCHEMA }],
] as const)('%s writes what satisfies the schema of %j', async ([persona, body]) => {
  const sim = await startForTest('--persona', persona);
  for (let seed = 0; seed < 20; seed += 1) {
    const { message, finish_reason: finish } = await ask(sim, { ...body, seed });
    expect(satisfies(JSON.parse(message.content), SCHEMA, SCHEMA)).toBe(true);
    expect(finish).toBe('stop');
  }
});

test('a JSON object is an object, a choice one of those given', async () => {
  const sim = await startForTest();
  const object = await ask(sim, { response_format: { type: 'json_object' } });
  expect(JSON.parse(object.message.content)).toBeTypeOf('object');
  const choice = await ask(sim, { structured_outputs: { choice: ['yes', 'no'] } });
  expect(['yes', 'no']).toContain(choice.message.content);
});

test('structured output is the same on any server of one seed, streamed or not', async () => {
  const [one, two] = await Promise.all([startForTest(), startForTest()]);
  const body = { structured_outputs: { json: SCHEMA } };
  const whole = (await ask(one, body)).message.content;
  const messages = [{ role: 'user', content: 'Describe it.' }];
  const streamed = await two.post('/v1/chat/completions', { messages, ...body, stream: true });
  expect(textOf(await streamed.text())).toBe(whole);
});

test('the limit cuts a document off', async () => {
  const sim = await startForTest();
  const body = { structured_outputs: { json: SCHEMA } };
  const whole = (await ask(sim, body)).message.content;
  const cut = await ask(sim, { ...body, max_tokens: 5 });
  expect(cut.finish_reason).toBe('length');
  expect(whole.startsWith(cut.message.content)).toBe(true);
  expect(cut.message.content.length).toBeLessThan(whole.length);
});

test('a format goes before a tool that may be called, not before one that must', async () => {
  const sim = await startForTest();
  const tools = [{ type: 'function', function: { name: 'Describe' } }];
  const body = { tools, structured_outputs: { json: SCHEMA } };
  const open = await ask(sim, body);
  expect(satisfies(JSON.parse(open.message.content), SCHEMA, SCHEMA)).toBe(true);
  const forced = await ask(sim, { ...body, tool_choice: 'required' });
  expect(forced).toMatchObject({ finish_reason: 'tool_calls', message: { content: '' } });
});

test('half a document is followed by a whole one', async () => {
  const sim = await startForTest();
  const body = { structured_outputs: { json: SCHEMA } };
  const half = (await ask(sim, { ...body, max_tokens: 5 })).message.content;
  const rest = await ask(sim, {
    ...body,
    messages: [
      { role: 'user', content: 'Describe it.' },
      { role: 'assistant', content: half },
    ],
    continue_final_message: true,
    add_generation_prompt: false,
  });
  expect(satisfies(JSON.parse(rest.message.content), SCHEMA, SCHEMA)).toBe(true);
});

test('the fields of older versions are ignored by newer ones', async () => {
  const sim = await startForTest();
  const free = await ask(sim, {});
  expect(await ask(sim, { guided_json: SCHEMA })).toEqual(free);
});

test.for([
  [
    'current',
    { structured_outputs: { regex: 'a+' } },
    '`structured_outputs.regex` is not simulated.',
  ],
  ['0.6.4', { guided_grammar: 'root ::= x' }, '`guided_grammar` is not simulated.'],
  [
    'current',
    { structured_outputs: { json: SCHEMA, choice: ['a'] } },
    'You can only use one kind of constraints for structured outputs',
  ],
  [
    'current',
    { response_format: { type: 'json_schema' } },
    "the 'json_schema' field must be provided. (parameter=response_format)",
  ],
  [
    'current',
    { structured_outputs: { json: { type: 'string', pattern: 'a' } } },
    '`structured_outputs.json` is not simulated for pattern.',
  ],
  ['current', { structured_outputs: { json: '{' } }, 'Invalid JSON schema.'],
] as const)('%s refuses %j', async ([persona, body, message]) => {
  const sim = await startForTest('--persona', persona);
  const messages = [{ role: 'user', content: 'Describe it.' }];
  const response = await sim.post('/v1/chat/completions', { messages, ...body });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(message);
});
