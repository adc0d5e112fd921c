import { expect, test } from 'vitest';
import { jsonOf, startForTest } from '../start-for-test.ts';
import { decode, encode } from '../tokenizer.ts';

type Entry = { token: string; logprob: number; bytes: number[] };
type Chat = {
  choices: [
    {
      token_ids: number[];
      logprobs: { content: (Entry & { top_logprobs: Entry[] })[] };
    },
  ];
};
type Completion = {
  choices: [
    {
      text: string;
      finish_reason: string;
      logprobs: {
        text_offset: number[];
        token_logprobs: (number | null)[];
        tokens: string[];
        top_logprobs: (Record<string, number> | null)[];
      };
    },
  ];
  usage: { prompt_tokens: number; completion_tokens: number };
};

const messages = [{ role: 'user', content: 'Tell me about rivers.' }];
const prompt = 'Once upon a time';

test('each token of a chat answer has its probability, the one taken first', async () => {
  const sim = await startForTest();
  const body = {
    messages,
    max_tokens: 20,
    logprobs: true,
    top_logprobs: 5,
    return_token_ids: true,
  };
  const { choices } = await jsonOf<Chat>(await sim.post('/v1/chat/completions', body));
  const [{ logprobs, token_ids: ids }] = choices;
  expect(logprobs.content.map(({ token }) => token)).toEqual(ids.map((id) => decode([id])));
  for (const { top_logprobs: top, ...taken } of logprobs.content) {
    expect(top).toHaveLength(5);
    expect(top[0]).toEqual(taken);
    expect(taken.logprob).toBeLessThan(0);
    expect(Buffer.from(taken.bytes).toString()).toBe(taken.token);
    const values = top.map(({ logprob }) => logprob);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
  }
});

test('a stream has the same probabilities, one token at a time', async () => {
  const sim = await startForTest();
  const body = { messages, max_tokens: 20, logprobs: true, top_logprobs: 2 };
  const { choices } = await jsonOf<Chat>(await sim.post('/v1/chat/completions', body));
  const text = await (await sim.post('/v1/chat/completions', { ...body, stream: true })).text();
  const events = text.split('\n\n').slice(1, -2);
  const streamed = events.flatMap(
    (event) => (JSON.parse(event.slice('data: '.length)) as Chat).choices[0].logprobs.content,
  );
  expect(streamed).toEqual(choices[0].logprobs.content);
});

test('without top_logprobs there are no rivals, and without logprobs nothing', async () => {
  const sim = await startForTest();
  const body = { messages, max_tokens: 1 };
  const bare = { ...body, logprobs: true };
  const { choices } = await jsonOf<Chat>(await sim.post('/v1/chat/completions', bare));
  expect(choices[0].logprobs.content[0]?.top_logprobs).toEqual([]);
  const none = await sim.post('/v1/chat/completions', body);
  expect(await none.json()).toMatchObject({ choices: [{ logprobs: null }] });
});

test('the completions route lists tokens, offsets and rivals', async () => {
  const sim = await startForTest();
  const body = { prompt, max_tokens: 8, logprobs: 3 };
  const { choices } = await jsonOf<Completion>(await sim.post('/v1/completions', body));
  const [{ text, logprobs }] = choices;
  expect(logprobs.tokens.join('')).toBe(text);
  for (const [index, offset] of logprobs.text_offset.entries()) {
    const token = logprobs.tokens[index] ?? '';
    expect(text.slice(offset).startsWith(token)).toBe(true);
    const top = logprobs.top_logprobs[index] ?? {};
    expect(Object.keys(top)).toHaveLength(3);
    expect(Object.keys(top)[0]).toBe(token);
    expect(top[token]).toBe(logprobs.token_logprobs[index]);
  }
});

test('an echo repeats the prompt, with its probabilities but for the first token', async () => {
  const sim = await startForTest();
  const plain = { prompt, max_tokens: 4 };
  const asked = { ...plain, echo: true, logprobs: 1 };
  const { choices } = await jsonOf<Completion>(await sim.post('/v1/completions', asked));
  const own = await jsonOf<Completion>(await sim.post('/v1/completions', plain));
  const [{ text, logprobs }] = choices;
  expect(text).toBe(prompt + own.choices[0].text);
  expect(logprobs.tokens.join('')).toBe(text);
  expect(logprobs.token_logprobs.map((value) => value === null)).toEqual(
    logprobs.tokens.map((_, index) => index === 0),
  );

  const streamed = await (await sim.post('/v1/completions', { ...asked, stream: true })).text();
  const chunks = streamed.split('\n\n').slice(0, -2);
  const parts = chunks.map(
    (event) => (JSON.parse(event.slice('data: '.length)) as Completion).choices[0],
  );
  expect(parts.map((part) => part.text).join('')).toBe(text);
  expect(parts.flatMap((part) => part.logprobs.text_offset)).toEqual(logprobs.text_offset);
  expect(parts.flatMap((part) => part.logprobs.token_logprobs)).toEqual(logprobs.token_logprobs);
});

test('an echo of no tokens is the prompt alone', async () => {
  const sim = await startForTest();
  const body = { prompt: encode(prompt), max_tokens: 0, echo: true };
  const answer = await jsonOf<Completion>(await sim.post('/v1/completions', body));
  expect(answer.choices[0]).toMatchObject({ text: prompt, finish_reason: 'length' });
  const refused = await sim.post('/v1/completions', { ...body, echo: false });
  expect(refused.status).toBe(400);
});

test('only the last tokens of a truncated prompt count', async () => {
  const sim = await startForTest('--max-model-len', '50');
  const ids = encode('word '.repeat(60));
  const body = { prompt: ids, max_tokens: 5, ignore_eos: true };
  const kept = await jsonOf<Completion>(
    await sim.post('/v1/completions', { ...body, truncate_prompt_tokens: 10 }),
  );
  const short = await jsonOf<Completion>(
    await sim.post('/v1/completions', { ...body, prompt: ids.slice(-10) }),
  );
  expect(kept.choices).toEqual(short.choices);
  expect(kept.usage.prompt_tokens).toBe(10);
  const all = await jsonOf<Completion>(
    await sim.post('/v1/completions', { ...body, truncate_prompt_tokens: -1 }),
  );
  expect(all.usage.prompt_tokens).toBe(45);
  const refused = await sim.post('/v1/completions', { ...body, truncate_prompt_tokens: 60 });
  expect(await refused.text()).toContain('is greater than max_model_len (50)');
});

test.for([
  [
    '/v1/chat/completions',
    { top_logprobs: 2 },
    'when using `top_logprobs`, `logprobs` must be set',
  ],
  ['/v1/chat/completions', { logprobs: true, top_logprobs: -2 }, 'must be a positive value or -1.'],
  [
    '/v1/chat/completions',
    { logprobs: true, top_logprobs: 21 },
    'Requested sample logprobs of 21, which is greater than max allowed: 20',
  ],
  ['/v1/completions', { logprobs: -1 }, '`logprobs` must be a positive value.'],
] as const)('%s refuses %j', async ([path, body, message]) => {
  const sim = await startForTest();
  const response = await sim.post(path, { messages, prompt, ...body });
  expect(response.status).toBe(400);
  expect(await response.text()).toContain(message);
});
