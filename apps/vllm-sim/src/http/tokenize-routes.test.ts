import { expect, test } from 'vitest';
import { jsonOf, startForTest } from '../start-for-test.ts';

type Tokenized = { count: number; tokens: number[] };

test('a prompt comes back from its tokens', async () => {
  const sim = await startForTest();
  const prompt = 'Grüße aus Köln 🙂, 1024 times!';
  const response = await sim.post('/tokenize', { prompt });
  const tokenized = await jsonOf<Tokenized>(response);
  expect(tokenized).toMatchObject({
    count: tokenized.tokens.length,
    max_model_len: 8192,
    token_strs: null,
  });
  const back = await sim.post('/detokenize', { tokens: tokenized.tokens });
  expect(await back.json()).toEqual({ prompt });
});

test('a conversation costs what the chat route counts', async () => {
  const sim = await startForTest();
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: [{ type: 'text', text: 'Hello' }] },
  ];
  const tools = [{ type: 'function', function: { name: 'search' } }];
  const partial = [...messages, { role: 'assistant', content: 'Well' }];
  const continued = { continue_final_message: true, add_generation_prompt: false };
  for (const body of [
    { messages },
    { messages, tools },
    { messages, add_generation_prompt: false },
    { messages: partial, ...continued },
  ]) {
    const { count } = await jsonOf<Tokenized>(await sim.post('/tokenize', body));
    const chat = await sim.post('/v1/chat/completions', { ...body, max_tokens: 1 });
    expect(await chat.json()).toMatchObject({ usage: { prompt_tokens: count } });
  }
});

test('a continued message has no end in its prompt', async () => {
  const sim = await startForTest();
  const messages = [{ role: 'assistant', content: 'Well' }];
  const body = { messages, continue_final_message: true, add_generation_prompt: false };
  const { tokens } = await jsonOf<Tokenized>(await sim.post('/tokenize', body));
  const back = await sim.post('/detokenize', { tokens });
  expect(await back.json()).toEqual({ prompt: '<|im_start|>assistant\nWell' });
});

test('an older version has no strings among its tokens', async () => {
  const sim = await startForTest('--persona', '0.6.4');
  const response = await sim.post('/tokenize', { prompt: 'Well' });
  expect(Object.keys(await jsonOf<object>(response))).toEqual(['count', 'max_model_len', 'tokens']);
});

test('a token out of vocabulary is a 400', async () => {
  const sim = await startForTest();
  const response = await sim.post('/detokenize', { tokens: [2 ** 31] });
  expect(response.status).toBe(400);
});
