import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
beforeAll(async () => {
  world = await startApiWorld({ QARR_CACHE_TTL_MS: '60000' });
  worker = await world.startWorker('fast');
});
afterAll(async () => {
  await worker.stop();
  await world.stop();
});

let prompts = 0;
const newPrompt = () => `A question of its own, number ${(prompts += 1)}`;

const chat = (prompt: string, fields: object = {}) =>
  postJson(`${world.api.url}/v1/chat/completions`, {
    model: 'fast',
    temperature: 0,
    messages: [{ role: 'user', content: prompt }],
    ...fields,
  });

/** Asks, and has a worker answer. */
async function ask(prompt: string, text: string, fields: object = {}): Promise<Response> {
  const asked = chat(prompt, fields);
  const attempt = await worker.next();
  await attempt.say(text);
  await attempt.complete();
  const open = () => world.redis.zscore('qarr:open', attempt.job.jobId);
  await waitUntil('it is closed, and its answer kept', async () => (await open()) === null);
  return asked;
}

const contentOf = async (response: Response) =>
  ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message
    .content;

describe('the same request at temperature 0', () => {
  it('gets the answer of before, at once and marked, whole, streamed and as a job', async () => {
    const prompt = newPrompt();
    const first = await ask(prompt, 'Because.');
    expect(first.headers.get('x-qarr-cache')).toBeNull();
    expect(await contentOf(first)).toBe('Because.');

    // No worker takes part in any of these.
    const again = await chat(prompt);
    expect(again.headers.get('x-qarr-cache')).toBe('hit');
    expect(again.headers.get('x-qarr-job')).not.toBe(first.headers.get('x-qarr-job'));
    expect(await contentOf(again)).toBe('Because.');

    const streamed = await chat(prompt, { stream: true });
    expect(streamed.headers.get('x-qarr-cache')).toBe('hit');
    const text = await streamed.text();
    expect(text).toContain('"content":"Because."');
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);

    const body = { tier: 'fast', temperature: 0, messages: [{ role: 'user', content: prompt }] };
    const submitted = await postJson(`${world.api.url}/v1/jobs`, body);
    expect(submitted.headers.get('x-qarr-cache')).toBe('hit');
    const { status, urls } = (await submitted.json()) as { status: string; urls: { self: string } };
    expect(status).toBe('completed');
    const job = (await (await fetch(urls.self)).json()) as { result: unknown; usage: unknown };
    expect(job.result).toMatchObject({ text: 'Because.', cached: true });
    expect(await (await fetch(`${world.api.opsUrl}/metrics`)).text()).toContain(
      'qarr_cached_answers_total{tier="fast"} 3',
    );
  });

  it('gets it also while no engine takes jobs and nothing more may wait', async () => {
    const prompt = newPrompt();
    await ask(prompt, 'Still.');
    const other = await world.startWorker('precise', { breaker: 'open', retry_in_ms: 50_000 });
    try {
      const full = await world.startApi({ QARR_CACHE_TTL_MS: '60000', QARR_QUEUE_DEPTH_MAX: '1' });
      await postJson(`${full.url}/v1/jobs`, { prompt: 'Hi', tier: 'precise' });
      const refused = await postJson(`${full.url}/v1/jobs`, { prompt: 'Hi', tier: 'precise' });
      expect(refused.status).toBe(503);
      const answered = await chat(prompt);
      expect(await contentOf(answered)).toBe('Still.');
    } finally {
      await other.stop();
    }
  });
});

describe('a request runs', () => {
  it.each<[string, object]>([
    ['at another temperature', { temperature: 0.1 }],
    ['with another limit', { max_tokens: 7 }],
    ['with another seed', { seed: 5 }],
    ['in another tier', { model: 'balanced' }],
    ['with log probabilities', { logprobs: true }],
    ['for several choices', { n: 2 }],
  ])('%s', async (_name, fields) => {
    const prompt = newPrompt();
    await ask(prompt, 'First.');
    const other = 'model' in fields ? await world.startWorker('balanced') : worker;
    const asked = chat(prompt, fields);
    const attempt = await other.next();
    await attempt.say('Second.');
    await attempt.complete();
    expect((await asked).headers.get('x-qarr-cache')).toBeNull();
    if (other !== worker) await other.stop();
  });

  it('where nobody has switched this on', async () => {
    const prompt = newPrompt();
    await ask(prompt, 'First.');
    const without = await world.startApi({ QARR_CACHE_TTL_MS: '0' });
    const body = { tier: 'fast', temperature: 0, messages: [{ role: 'user', content: prompt }] };
    const submitted = await postJson(`${without.url}/v1/jobs`, body);
    expect(submitted.headers.get('x-qarr-cache')).toBeNull();
    const attempt = await worker.next();
    await attempt.complete();
  });
});
