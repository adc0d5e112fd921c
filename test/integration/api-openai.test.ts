/** OpenAI's official client, as it is. */
import OpenAI, { APIError } from 'openai';
import type { ChatCompletionChunk, ChatCompletionMessageParam } from 'openai/resources/chat';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
let client: OpenAI;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100' });
  worker = await world.startWorker('fast');
  client = new OpenAI({ baseURL: `${world.api.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  await waitUntil('the API knows the model', async () => {
    const models = await client.models.list();
    return models.data.some(({ id }) => id === 'test-model');
  });
});
afterAll(() => world.stop());

const messages: ChatCompletionMessageParam[] = [{ role: 'user', content: 'Hello' }];
const request = { model: 'auto', messages };

async function answer(texts: string[]): Promise<void> {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await attempt.complete();
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

describe("OpenAI's client", () => {
  it('gets a whole answer, and the id of its request', async () => {
    const answering = answer(['Hello ', 'world']);
    const { data, request_id } = await client.chat.completions.create(request).withResponse();
    expect(data.choices[0]?.message.content).toBe('Hello world');
    expect(data.choices[0]?.finish_reason).toBe('stop');
    expect(data.usage).toEqual(USAGE);
    expect(data.model).toBe('fast');
    expect(request_id).toMatch(/^req_/);
    await answering;
  });

  it('gets a stream, past any heartbeats', async () => {
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    const attempt = await worker.next();
    const chunks: ChatCompletionChunk[] = [];
    const reading = (async () => {
      for await (const chunk of stream) chunks.push(chunk);
    })();
    await attempt.say('Hel');
    await waitUntil('the first text arrives', () => chunks.length === 2);
    await attempt.say('lo');
    await attempt.complete();
    await reading;
    expect(chunks.map(({ choices }) => choices[0]?.delta.content)).toEqual([
      '',
      'Hel',
      'lo',
      undefined,
      undefined,
    ]);
    expect(chunks.at(-1)?.usage).toEqual(USAGE);
  });

  it('accumulates a stream with its helper', async () => {
    const answering = answer(['Hel', 'lo']);
    const stream = client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    });
    const snapshots: string[] = [];
    stream.on('content', (_delta, snapshot) => snapshots.push(snapshot));
    const final = await stream.finalChatCompletion();
    expect(snapshots.at(-1)).toBe('Hello');
    expect(final.choices[0]?.message).toMatchObject({ role: 'assistant', content: 'Hello' });
    expect(final.choices[0]?.finish_reason).toBe('stop');
    await answering;
  });

  it('cancels by abort', async () => {
    const stream = await client.chat.completions.create({ ...request, stream: true });
    const attempt = await worker.next();
    await attempt.say('Hello');
    stream.controller.abort();
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
  });

  it('throws its own class for what is wrong with a request, with code and param', async () => {
    const tooHot = await caught(client.chat.completions.create({ ...request, temperature: 3 }));
    expect(tooHot).toBeInstanceOf(OpenAI.BadRequestError);
    expect(tooHot).toMatchObject({
      code: 'invalid_request',
      param: 'temperature',
      type: 'invalid_request_error',
    });
    expect(tooHot.requestID).toMatch(/^req_/);

    const unknown = await caught(client.chat.completions.create({ ...request, model: 'banana' }));
    expect(unknown).toBeInstanceOf(OpenAI.NotFoundError);
    expect(unknown).toMatchObject({ code: 'model_not_found', param: 'model' });
  });

  it('throws its own class for a failure of the engine', async () => {
    const failing = worker.next().then((attempt) => attempt.fail('upstream_error'));
    const error = await caught(client.chat.completions.create(request));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 502, code: 'upstream_error' });
    await failing;
  });

  it.each(['create', 'helper'])('throws when a stream breaks in the middle (%s)', async (kind) => {
    const failing = (async () => {
      const attempt = await worker.next();
      await attempt.say('Hel');
      await attempt.fail('worker_lost');
    })();
    const read = async () => {
      if (kind === 'helper') return client.chat.completions.stream(request).finalChatCompletion();
      const stream = await client.chat.completions.create({ ...request, stream: true });
      for await (const chunk of stream) expect(chunk.choices[0]?.finish_reason).toBeNull();
      return undefined;
    };
    expect(await caught(read())).toMatchObject({ code: 'worker_lost' });
    await failing;
  });

  it('does not send a cancelled request again by itself', async () => {
    const before = await world.jobIds();
    const retrying = client.withOptions({ maxRetries: 2 });
    const error = caught(retrying.chat.completions.create({ ...request, model: 'precise' }));
    const id = await waitUntil('the job is there', async () =>
      (await world.jobIds()).find((job) => !before.includes(job)),
    );
    await client.post(`/jobs/${id}/cancel`);
    expect(await error).toBeInstanceOf(OpenAI.ConflictError);
    expect(await world.jobIds()).toHaveLength(before.length + 1);
  });
});
