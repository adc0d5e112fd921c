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
  const { count } = await jsonOf<Tokenized>(await sim.post('/tokenize', { messages }));
  const chat = await sim.post('/v1/chat/completions', { messages, max_tokens: 1 });
  expect(await chat.json()).toMatchObject({ usage: { prompt_tokens: count } });
});

test('a token out of vocabulary is a 400', async () => {
  const sim = await startForTest();
  const response = await sim.post('/detokenize', { tokens: [2 ** 31] });
  expect(response.status).toBe(400);
});
