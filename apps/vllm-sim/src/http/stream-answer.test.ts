import { connect } from 'node:net';
import { text as readText } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { chunksOf, startForTest } from '../start-for-test.ts';

const messages = [{ role: 'user', content: 'Tell me about rivers.' }];
/** Runs until someone ends it: some 9 ms per token and thousands of tokens. */
const ENDLESS = { messages, ignore_eos: true, stream: true };

test('a client that leaves a stream frees its slot', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  const client = new AbortController();
  await sim.post('/v1/chat/completions', ENDLESS, jsonInit(ENDLESS, client.signal));
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1 }));
  client.abort();
  await vi.waitFor(async () =>
    expect(await sim.state()).toMatchObject({ running: 0, waiting: 0, aborted_by_client: 1 }),
  );
});

test('a client that leaves while it waits for the whole answer frees its slot', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  const client = new AbortController();
  const body = { ...ENDLESS, stream: false };
  const answer = sim.post('/v1/chat/completions', body, jsonInit(body, client.signal));
  answer.catch(() => {
    // Aborted below.
  });
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1 }));
  client.abort();
  await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
  await vi.waitFor(async () =>
    expect(await sim.state()).toMatchObject({ running: 0, aborted_by_client: 1 }),
  );
});

test('what exceeds max-num-seqs waits, with its headers sent, until a slot is free', async () => {
  const sim = await startForTest('--profile', 'awq-24gb', '--max-num-seqs', '1');
  const first = new AbortController();
  await sim.post('/v1/chat/completions', ENDLESS, jsonInit(ENDLESS, first.signal));
  const second = await sim.post('/v1/chat/completions', { ...ENDLESS, max_tokens: 2 });
  expect(second.status).toBe(200);
  await vi.waitFor(async () => expect(await sim.state()).toMatchObject({ running: 1, waiting: 1 }));
  // The gauges follow with the next step.
  await vi.waitFor(async () => {
    const metrics = await (await fetch(`${sim.url}/metrics`)).text();
    expect(metrics).toContain('vllm:num_requests_waiting{engine="0",model_name="qarr-sim"} 1.0');
  });
  first.abort();
  expect(chunksOf(await second.text()).at(-1)?.choices[0]?.finish_reason).toBe('length');
});

test('a stop ends running streams with finish reason abort', async () => {
  const sim = await startForTest('--profile', 'awq-24gb');
  const response = await sim.post('/v1/chat/completions', ENDLESS);
  const reader = response.body?.getReader();
  const first = await reader?.read();
  let text = new TextDecoder().decode(first?.value);
  await Promise.all([sim.stop(), readAll()]);
  expect(chunksOf(text).at(-1)?.choices[0]?.finish_reason).toBe('abort');

  async function readAll(): Promise<void> {
    for (;;) {
      const chunk = await reader?.read();
      if (chunk?.value === undefined) return;
      text += new TextDecoder().decode(chunk.value);
    }
  }
});

test('a slow reader gets its tokens merged into fewer chunks, and all of them', async () => {
  const tokens = 60_000;
  const sim = await startForTest('--max-model-len', '100000');
  const asked = { max_tokens: tokens, return_token_ids: true, logprobs: true };
  const body = JSON.stringify({ ...ENDLESS, ...asked });
  const { hostname, port } = new URL(sim.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `POST /v1/chat/completions HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await vi.waitFor(
    async () => expect(await sim.state()).toMatchObject({ received: 1, running: 0, waiting: 0 }),
    { timeout: 20_000 },
  );
  const answer = (await readText(socket)).split('\r\n\r\n')[1] ?? '';
  const choices = chunksOf(answer).flatMap((chunk) => chunk.choices);
  expect(choices.flatMap((choice) => choice.token_ids ?? [])).toHaveLength(tokens);
  expect(choices.length).toBeLessThan(tokens);
  expect(answer.match(/"top_logprobs":/g)).toHaveLength(tokens);
}, 30_000);

function jsonInit(body: object, signal: AbortSignal): RequestInit {
  return {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal,
  };
}
