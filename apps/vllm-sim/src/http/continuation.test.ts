import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunksOf, jsonOf, startForTest, type TestSimulator, textOf } from '../start-for-test.ts';
import { decode } from '../tokenizer.ts';

type Chat = {
  prompt_token_ids: number[];
  choices: { message: { content: string }; token_ids: number[]; finish_reason: string }[];
};
type Completion = { choices: { text: string; token_ids: number[] }[] };
type Tokens = { choices: { token_ids: number[]; finish_reason: string }[] };

const question = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
/** A request of any kind that vLLM decodes: greedily or by a seed, with an end or without. */
const sampling = fc.record({
  seed: fc.option(fc.nat(1000), { nil: undefined }),
  temperature: fc.constantFrom(0, 1),
  ignore_eos: fc.boolean(),
  max_tokens: fc.integer({ min: 2, max: 150 }),
});
const RUNS = { numRuns: 40 };

async function post<Body>(sim: TestSimulator, path: string, body: object): Promise<Body> {
  const response = await sim.post(path, body);
  expect(response.status).toBe(200);
  return jsonOf<Body>(response);
}

async function wholeAnswer(sim: TestSimulator, content: string, params: object) {
  const messages = [{ role: 'user', content }];
  const chat = await post<Chat>(sim, '/v1/chat/completions', {
    messages,
    ...params,
    return_token_ids: true,
  });
  const [choice] = chat.choices;
  if (choice === undefined) throw new Error('an answer without a choice');
  const { message, token_ids: ids } = choice;
  return { messages, promptIds: chat.prompt_token_ids, ids, text: message.content };
}

test('another server goes on from ids exactly, on both routes that take ids', async () => {
  const [one, two] = await Promise.all([startForTest(), startForTest()]);
  await fc.assert(
    fc.asyncProperty(question, sampling, fc.nat(), async (content, params, at) => {
      const whole = await wholeAnswer(one, content, params);
      const cut = at % whole.ids.length;
      const head = whole.ids.slice(0, cut);
      const prompt = [...whole.promptIds, ...head];
      const rest = { ...params, max_tokens: params.max_tokens - cut };

      const completed = await post<Completion>(two, '/v1/completions', {
        ...rest,
        prompt,
        return_token_ids: true,
      });
      const tail = completed.choices[0];
      expect([...head, ...(tail?.token_ids ?? [])]).toEqual(whole.ids);
      // Of a character that was cut, the first server has sent nothing.
      const sent = decode(head).replace(/\ufffd$/, '');
      expect(sent + tail?.text).toBe(whole.text);

      const generated = await post<Tokens>(two, '/inference/v1/generate', {
        token_ids: prompt,
        sampling_params: rest,
      });
      expect(generated.choices[0]?.token_ids).toEqual(tail?.token_ids);
    }),
    RUNS,
  );
});

test('another server goes on from text exactly, wherever it was cut', async () => {
  const [one, two] = await Promise.all([startForTest(), startForTest()]);
  await fc.assert(
    fc.asyncProperty(question, sampling, fc.nat(), async (content, params, at) => {
      // Without a limit of its own, so that both end where the text does.
      const { max_tokens: _limit, ...rest } = { ...params, ignore_eos: false };
      const whole = await wholeAnswer(one, content, rest);
      const chars = Array.from(whole.text);
      const partial = chars.slice(0, at % chars.length).join('');
      const chat = await post<Chat>(two, '/v1/chat/completions', {
        ...rest,
        messages: [...whole.messages, { role: 'assistant', content: partial }],
        continue_final_message: true,
        add_generation_prompt: false,
      });
      expect(partial + chat.choices[0]?.message.content).toBe(whole.text);
    }),
    RUNS,
  );
});

test('the text is the same streamed or not, on either route, alone or among choices', async () => {
  const sim = await startForTest();
  await fc.assert(
    fc.asyncProperty(question, sampling, async (content, params) => {
      const whole = await wholeAnswer(sim, content, params);
      const streamed = await sim.post('/v1/chat/completions', {
        ...params,
        messages: whole.messages,
        stream: true,
        stream_options: { include_usage: true, continuous_usage_stats: true },
        request_id: 'another',
      });
      expect(textOf(await streamed.text())).toBe(whole.text);
      const completed = await post<Completion>(sim, '/v1/completions', {
        ...params,
        temperature: 1,
        prompt: whole.promptIds,
        n: 3,
      });
      expect(completed.choices[0]?.text).toBe(whole.text);
    }),
    RUNS,
  );
});

test('a token route stream carries the ids that it answers with at once', async () => {
  const sim = await startForTest();
  const body = {
    token_ids: [600, 601],
    sampling_params: { max_tokens: 20, ignore_eos: true },
    request_id: 'r1',
    stream: true,
    stream_options: { include_usage: true },
  };
  const text = await (await sim.post('/inference/v1/generate', body)).text();
  const chunks = chunksOf(text);
  const ids = chunks.flatMap(({ choices }) => choices.flatMap((each) => each.token_ids ?? []));
  const whole = await post<Tokens>(sim, '/inference/v1/generate', { ...body, stream: false });
  expect(whole).toMatchObject({ request_id: 'generate-tokens-r1' });
  expect(whole.choices[0]).toMatchObject({ token_ids: ids, finish_reason: 'length' });
  expect(text.split('\n\n')[0]).toBe(
    `data: {"request_id":"generate-tokens-r1","choices":[{"index":0,"logprobs":null,"finish_reason":null,"token_ids":[${ids[0]}]}],"usage":null}`,
  );
  expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length');
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 20 } });
});

test.for([
  [
    { add_generation_prompt: true },
    'Cannot set both `continue_final_message` and `add_generation_prompt` to True.',
  ],
  [{}, 'continue_final_message and add_generation_prompt are not compatible.'],
  [
    { add_generation_prompt: false, messages: [{ role: 'user', content: 'Hi' }] },
    'continue_final_message needs a final message of role `assistant`.',
  ],
] as const)('%j with continue_final_message is refused', async ([body, message]) => {
  const sim = await startForTest();
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello' },
  ];
  const asked = { messages, continue_final_message: true, ...body };
  for (const path of ['/v1/chat/completions', '/tokenize']) {
    const response = await sim.post(path, asked);
    expect(response.status).toBe(400);
    expect(await response.text()).toContain(message);
  }
});
