/** `/v1/completions`, through OpenAI's official client: raw prompts down to the engine. */
import { randomUUID } from 'node:crypto';
import OpenAI, { APIError } from 'openai';
import type { Completion } from 'openai/resources/completions';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, openStream, postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { startEngineProcess } from '../harness/engine-process.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { startWorkerProcess } from '../harness/worker-process.ts';

const PATIENT = { timeoutMs: 45_000, everyMs: 50 };

let world: ApiWorld;
/** Of the tier `balanced`; that of `fast` is a process with real engines. */
let worker: TestWorker;
let client: OpenAI;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100', QARR_INTERACTIVE_QUEUE_MS: '60000' });
  worker = await world.startWorker('balanced');
  client = new OpenAI({ baseURL: `${world.api.url}/v1`, apiKey: 'unused', maxRetries: 0 });
});
afterAll(() => world.stop());

const request = { model: 'balanced', prompt: 'Once upon a time' };

async function answer(texts: readonly string[]): Promise<TestAttempt> {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await attempt.complete();
  return attempt;
}

async function caught(promise: PromiseLike<unknown>): Promise<APIError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof APIError) return error;
    throw error;
  }
  throw new Error('Nothing was thrown');
}

async function read(stream: AsyncIterable<Completion>): Promise<Completion[]> {
  const chunks: Completion[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const textOf = (chunks: readonly Completion[], index = 0) =>
  chunks
    .flatMap(({ choices }) => choices)
    .filter((choice) => choice.index === index)
    .map(({ text }) => text)
    .join('');

const plain = ({ choices }: Completion) =>
  choices.map(({ text, finish_reason, logprobs }) => ({ text, finish_reason, logprobs }));

/** The log probabilities of a text that is one token. */
const likely = (token: string) => ({
  content: [{ token, logprob: -1, top_logprobs: [{ token: '🦊', logprob: -2 }] }],
});

const oneToken = (text: string) => ({
  text,
  logprobs: likely(text),
  finish_reason: 'length' as const,
});

describe("OpenAI's client", () => {
  it('gets a whole completion, of a prompt that reaches the engine as it is', async () => {
    const answering = answer([' there', ' was']);
    const { data, response } = await client.completions.create(request).withResponse();
    const { job } = await answering;
    expect(job.request).toEqual({ prompt: request.prompt, max_tokens: 16, temperature: 0.7 });
    expect(data).toEqual({
      id: `cmpl-${job.jobId}`,
      object: 'text_completion',
      created: expect.any(Number),
      model: 'balanced',
      choices: [{ text: ' there was', index: 0, logprobs: null, finish_reason: 'stop' }],
      usage: USAGE,
      system_fingerprint: null,
    });
    expect(response.headers.get('x-qarr-job')).toBe(job.jobId);
    const record = await fetch(`${world.api.url}/v1/jobs/${job.jobId}`);
    expect(await record.json()).toMatchObject({
      status: 'completed',
      result: { text: ' there was' },
    });
  });

  it('gets a stream, past any heartbeats', async () => {
    const stream = await client.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const answering = answer([' there', ' was']);
    const chunks = await read(stream);
    const id = `cmpl-${(await answering).job.jobId}`;
    expect(chunks.map(({ choices, usage }) => [choices[0]?.text, usage ?? null])).toEqual([
      [' there', null],
      [' was', null],
      ['', null],
      [undefined, USAGE],
    ]);
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([
      null,
      null,
      'stop',
      undefined,
    ]);
    for (const chunk of chunks) {
      expect(chunk).toMatchObject({ id, object: 'text_completion', model: 'balanced' });
    }
  });

  it('has every field that is understood, and the time that it may wait, in its job', async () => {
    const sampling = { top_p: 0.9, seed: 7, presence_penalty: 0.1, frequency_penalty: 0.2 };
    const extras = { top_k: 4, min_p: 0.1, repetition_penalty: 1.1, min_tokens: 2 };
    const harmless = { echo: false, best_of: 1, logit_bias: {}, suffix: null, user: 'me' };
    const creating = client.completions.create({
      ...request,
      prompt: [request.prompt],
      ...sampling,
      ...extras,
      ...harmless,
      max_tokens: 3,
      temperature: 0,
      ignore_eos: true,
      stop: 'END',
      n: 2,
      logprobs: 1,
      fallback: 'any',
      queue_timeout_ms: 45_000,
      tier: 'balanced',
      model: 'auto',
    } as OpenAI.CompletionCreateParamsNonStreaming);
    const attempt = await worker.next();
    expect(attempt.job.request).toEqual({
      prompt: request.prompt,
      ...sampling,
      ...extras,
      max_tokens: 3,
      temperature: 0,
      ignore_eos: true,
      stop: ['END'],
      n: 2,
      logprobs: 1,
    });
    const record = `qarr:{${attempt.job.jobId}}:job`;
    expect(await world.redis.hget(record, 'fallback')).toBe('any');
    const [deadline, created] = await world.redis.hmget(record, 'queue_deadline', 'created_at');
    expect(Number(deadline) - Number(created)).toBe(45_000);
    await attempt.completeWith({ ...oneToken('a'), choices: [oneToken('a'), oneToken('b')] });
    expect((await creating).choices).toMatchObject([
      { index: 0, text: 'a', logprobs: { tokens: ['a'], top_logprobs: [{ '🦊': -2 }] } },
      { index: 1, text: 'b', logprobs: { token_logprobs: [-1], text_offset: [0] } },
    ]);
  });

  it.each<[object, code: string, param: string]>([
    [{ prompt: ['a', 'b'] }, 'unsupported_parameter', 'prompt'],
    [{ prompt: [1, 2] }, 'unsupported_parameter', 'prompt'],
    [{ prompt: undefined }, 'invalid_request', 'prompt'],
    [{ echo: true }, 'unsupported_parameter', 'echo'],
    [{ messages: [{ role: 'user', content: 'Hi' }] }, 'unsupported_parameter', 'messages'],
    [{ class: 'batch' }, 'unsupported_parameter', 'class'],
    [{ n: 5 }, 'invalid_request', 'n'],
    [{ prompt: 'word '.repeat(20_000) }, 'context_length_exceeded', 'prompt'],
  ])('throws its own class for a request that is wrong: %o', async (fields, code, param) => {
    const error = await caught(client.completions.create({ ...request, ...fields }));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ code, param, type: 'invalid_request_error' });
  });

  it('throws for a failure of the engine, and when a stream breaks in the middle', async () => {
    const failing = worker.next().then((attempt) => attempt.fail('upstream_error'));
    const whole = await caught(client.completions.create(request));
    expect(whole).toBeInstanceOf(OpenAI.InternalServerError);
    expect(whole).toMatchObject({ status: 502, code: 'upstream_error' });
    await failing;

    const stream = await client.completions.create({ ...request, stream: true });
    const attempt = await worker.next();
    await attempt.say(' there');
    await attempt.fail('worker_lost');
    expect(await caught(read(stream))).toMatchObject({ code: 'worker_lost' });
  });

  it('cancels by abort', async () => {
    const stream = await client.completions.create({ ...request, stream: true });
    const attempt = await worker.next();
    await attempt.say(' there');
    stream.controller.abort();
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
  });

  it('attaches to the job of its idempotency key, which is not that of a chat', async () => {
    const headers = { 'Idempotency-Key': randomUUID() };
    const first = client.completions.create(request, { headers });
    const attempt = await worker.next();
    const second = client.completions.create({ ...request, stream: true }, { headers });
    expect(await caught(second)).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    const third = client.completions.create(request, { headers });
    await attempt.say(' there');
    await attempt.complete();
    expect(await third).toEqual(await first);
  });
});

describe('with engines', () => {
  const PROMPT = 'The lighthouse keeper wrote:\n';
  const LONG = { prompt: PROMPT, max_tokens: 200, ignore_eos: true, temperature: 0 };

  it(
    'answers as the engine does, and is carried on when the engine dies',
    async () => {
      const flags = ['--profile=awq-24gb', '--time-scale=0.5'];
      const [one, two] = await Promise.all([
        startEngineProcess(...flags),
        startEngineProcess(...flags),
      ]);
      await startWorkerProcess({
        REDIS_URL: world.redisServer.url,
        QARR_UPSTREAM_URL: `${one.url},${two.url}`,
        QARR_WARMUP_REQUESTS: '1',
      });
      /** What any of the engines says by itself: their texts follow from the request. */
      async function undisturbed(body: object): Promise<Completion> {
        const response = await postJson(`${two.url}/v1/completions`, {
          model: 'qarr-sim',
          ...body,
        });
        return (await response.json()) as Completion;
      }

      const asked = { prompt: PROMPT, max_tokens: 12, temperature: 0.7, logprobs: 2, n: 2 };
      const expected = await undisturbed(asked);
      const whole = await client.completions.create({ model: 'fast', ...asked });
      expect(whole.usage).toMatchObject({
        prompt_tokens: expected.usage?.prompt_tokens,
        completion_tokens: expected.usage?.completion_tokens,
      });
      expect(plain(whole)).toEqual(plain(expected));
      const streamed = await read(
        await client.completions.create({ model: 'fast', ...asked, stream: true }),
      );
      expect([textOf(streamed), textOf(streamed, 1)]).toEqual(
        expected.choices.map(({ text }) => text),
      );
      const logprobs = streamed.flatMap(({ choices }) =>
        choices.flatMap((choice) =>
          choice.index === 1 ? (choice.logprobs?.text_offset ?? []) : [],
        ),
      );
      expect(logprobs).toEqual(expected.choices[1]?.logprobs?.text_offset);

      const { choices, usage } = await undisturbed(LONG);
      const stream = await openStream(`${world.api.url}/v1/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...LONG,
          tier: 'fast',
          stream: true,
          stream_options: { include_usage: true },
        }),
      });
      await stream.until('"text":"');
      const busy = await waitUntil('an engine answers', async () => {
        const open = await Promise.all([one.open(), two.open()]);
        return open[0] > 0 ? one : open[1] > 0 ? two : null;
      });
      busy.kill('SIGKILL');
      const frames = (await stream.end()).match(/^data: \{.*$/gm) ?? [];
      const chunks = frames.map((frame) => JSON.parse(frame.slice('data: '.length)) as Completion);
      expect(textOf(chunks)).toBe(choices[0]?.text);
      expect(chunks.at(-2)).toMatchObject({
        choices: [{ finish_reason: 'length' }],
        qarr: { continued: 1 },
      });
      expect(chunks.at(-1)?.usage).toMatchObject({
        prompt_tokens: usage?.prompt_tokens,
        completion_tokens: usage?.completion_tokens,
      });
    },
    PATIENT.timeoutMs,
  );
});
