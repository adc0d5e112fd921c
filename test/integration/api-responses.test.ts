/** `/v1/responses`, asked and read by OpenAI's official client. */
import OpenAI, { APIError } from 'openai';
import type { FunctionTool, ResponseStreamEvent } from 'openai/resources/responses/responses';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { USAGE, startApiWorld } from '../harness/api.ts';
import type { ApiProcess, ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { call, parameters } from '../harness/weather-tool.ts';
import { waitUntil } from '../harness/wait-until.ts';

let world: ApiWorld;
let worker: TestWorker;
let client: OpenAI;
let elsewhere: OpenAI;

const clientOf = ({ url }: ApiProcess) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0 });

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100' });
  const [started, other] = await Promise.all([world.startWorker('fast'), world.startApi()]);
  worker = started;
  client = clientOf(world.api);
  elsewhere = clientOf(other);
});
afterAll(() => world.stop());

/** A model whose tier has no worker: what is sent there waits. */
const WAITS = 'precise';
const request = { model: 'auto', input: 'Hello' };
const weather: FunctionTool = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather',
  parameters,
  strict: true,
};

async function answer(texts: string[], end = complete): Promise<TestAttempt> {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await end(attempt);
  return attempt;
}
const complete = (attempt: TestAttempt) => attempt.complete();

async function all<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const seen: Event[] = [];
  for await (const event of events) seen.push(event);
  return seen;
}

async function caught(promise: PromiseLike<unknown>): Promise<APIError> {
  const error: unknown = await Promise.resolve(promise).catch((thrown: unknown) => thrown);
  if (error instanceof APIError) return error;
  throw error instanceof Error ? error : new Error('Nothing was thrown');
}

const jobOf = (id: string) => id.replace('resp_', 'job_');
const stateOf = (id: string) => world.redis.hget(`qarr:{${jobOf(id)}}:job`, 'state');

describe('a response', () => {
  it('is answered in one piece, and the same on every replica later', async () => {
    const answering = answer(['Hello ', 'world']);
    const { data: response, response: http } = await client.responses
      .create({ ...request, instructions: 'Be kind', metadata: { a: 'b' } })
      .withResponse();
    const { job } = await answering;
    expect(job.onInterrupt).toBe('restart');
    expect(job.request).toHaveProperty('messages', [
      { role: 'system', content: 'Be kind' },
      { role: 'user', content: 'Hello' },
    ]);
    expect(response).toMatchObject({
      object: 'response',
      status: 'completed',
      output_text: 'Hello world',
      instructions: 'Be kind',
      model: 'fast',
      metadata: { a: 'b' },
      usage: { input_tokens: USAGE.prompt_tokens, output_tokens: USAGE.completion_tokens },
    });
    expect(response.id).toMatch(/^resp_\w{32}$/);
    expect(http.headers.get('x-qarr-tier')).toBe('fast');
    expect(http.headers.get('x-qarr-job')).toBe(jobOf(response.id));
    expect(await elsewhere.responses.retrieve(response.id)).toEqual(response);
  });

  it('is streamed with all events that clients need, and no other', async () => {
    const stream = await client.responses.create({ ...request, stream: true });
    const [events] = await Promise.all([all(stream), answer(['Hello ', 'world'])]);
    expect(events.map(({ type }) => type.replace('response.', ''))).toEqual([
      'created',
      'queued',
      'in_progress',
      'output_item.added',
      'content_part.added',
      'output_text.delta',
      'output_text.delta',
      'output_text.done',
      'content_part.done',
      'output_item.done',
      'completed',
    ]);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, at) => at));
    expect(events[0]).toMatchObject({ response: { status: 'queued', queue: { tier: 'fast' } } });
  });

  it("is put together by the client's helper, as it is kept", async () => {
    const stream = client.responses.stream(request);
    const [final] = await Promise.all([stream.finalResponse(), answer(['Hello ', 'world'])]);
    expect(final).toMatchObject({ status: 'completed', output_text: 'Hello world' });
    const kept = await elsewhere.responses.retrieve(final.id);
    expect(final).toMatchObject(kept);
  });

  it('calls tools, and is told what they said', async () => {
    const [first] = await Promise.all([
      client.responses.create({ ...request, tools: [weather] }),
      answer([], async (attempt) => {
        expect(attempt.job.request).toMatchObject({
          tools: [{ function: { name: 'get_weather' } }],
        });
        await attempt.say('', { toolCalls: [{ index: 0, ...call }] });
        await attempt.completeWith({ text: '', tool_calls: [call], finish_reason: 'tool_calls' });
      }),
    ]);
    expect(first.tools).toMatchObject([weather]);
    expect(first.output).toMatchObject([
      {
        type: 'function_call',
        call_id: call.id,
        name: 'get_weather',
        arguments: '{"city":"Oslo"}',
      },
    ]);
    const [second, { job }] = await Promise.all([
      client.responses.create({
        ...request,
        previous_response_id: first.id,
        tools: [weather],
        input: [{ type: 'function_call_output', call_id: call.id, output: 'Rain' }],
      }),
      answer(['It rains.']),
    ]);
    expect(second).toMatchObject({ output_text: 'It rains.', previous_response_id: first.id });
    expect(job.request).toHaveProperty('messages', [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: 'Rain', tool_call_id: call.id },
    ]);
  });

  it('keeps to a schema, and is parsed by it', async () => {
    const format = { type: 'json_schema', name: 'answer', schema: parameters } as const;
    const [response, { job }] = await Promise.all([
      client.responses.parse({ ...request, text: { format } }),
      answer(['{"city":', '"Oslo"}']),
    ]);
    expect(response.output_parsed).toEqual({ city: 'Oslo' });
    expect(job.request).toMatchObject({
      response_format: { json_schema: { name: 'answer' } },
    });
  });

  it('goes on from another one, or from items of it, without its instructions', async () => {
    const [first] = await Promise.all([
      client.responses.create({ ...request, instructions: 'Be kind' }),
      answer(['Hi.']),
    ]);
    const next = { ...request, input: 'And now?', instructions: 'Be brief' };
    const [second, { job }] = await Promise.all([
      client.responses.create({ ...next, previous_response_id: first.id }),
      answer(['Well.']),
    ]);
    expect(job.request).toMatchObject({
      messages: [
        { content: 'Be brief' },
        { content: 'Hello' },
        { content: 'Hi.' },
        { content: 'And now?' },
      ],
    });
    const items = await client.responses.inputItems.list(second.id);
    expect(items.data).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'And now?' }] },
    ]);
    const [, third] = await Promise.all([
      client.responses.create({
        ...request,
        input: [
          { type: 'item_reference', id: first.output[0]?.id ?? '' },
          { role: 'user', content: 'Go on' },
        ],
      }),
      answer(['On.']),
    ]);
    expect(third.job.request).toHaveProperty('messages', [
      { role: 'assistant', content: 'Hi.' },
      { role: 'user', content: 'Go on' },
    ]);
  });

  it('is incomplete where it had too few tokens', async () => {
    const [response] = await Promise.all([
      client.responses.create({ ...request, max_output_tokens: 2 }),
      answer(['Hel'], (attempt) => attempt.completeWith({ text: 'Hel', finish_reason: 'length' })),
    ]);
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: { reason: 'max_output_tokens' },
      max_output_tokens: 2,
      output_text: 'Hel',
    });
  });
});

describe('a response that fails', () => {
  it('is an error with its status for whoever waits for it', async () => {
    const [error] = await Promise.all([
      caught(client.responses.create(request)),
      answer(['Hel'], (attempt) => attempt.fail('upstream_error')),
    ]);
    expect(error).toMatchObject({ status: 502, code: 'upstream_error', type: 'server_error' });
  });

  it('ends its stream as failed, with what there was of it', async () => {
    const stream = client.responses.stream(request);
    const [final] = await Promise.all([
      stream.finalResponse(),
      answer(['Hel'], (attempt) => attempt.fail('worker_lost')),
    ]);
    expect(final).toMatchObject({
      status: 'failed',
      error: { code: 'server_error', qarr: { code: 'worker_lost' } },
      output: [{ content: [{ text: 'Hel' }] }],
    });
    expect(final).toMatchObject(await elsewhere.responses.retrieve(final.id));
  });
});

describe('a client that leaves', () => {
  it('takes its response with it', async () => {
    const stream = await client.responses.create({ ...request, stream: true });
    const attempt = await worker.next();
    await attempt.say('Hello');
    stream.controller.abort();
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);

    const leaving = new AbortController();
    const whole = client.responses.create({ ...request, model: WAITS }, { signal: leaving.signal });
    const before = await world.jobIds();
    const gone = caught(whole);
    const id = await waitUntil('the job is there', async () =>
      (await world.jobIds()).find((job) => !before.includes(job)),
    );
    leaving.abort();
    expect(await gone).toBeInstanceOf(OpenAI.APIUserAbortError);
    await waitUntil('it is cancelled', async () => (await stateOf(id)) === 'cancelled');
  });
});

describe('a response in the background', () => {
  const inBackground = { ...request, background: true } as const;

  it('is looked up until it is done', async () => {
    const queued = await client.responses.create({ ...inBackground, model: WAITS });
    expect(queued).toMatchObject({
      status: 'queued',
      output: [],
      queue: { position: 1, tier: 'precise' },
    });
    expect(await elsewhere.responses.retrieve(queued.id)).toMatchObject({
      status: 'queued',
      queue: { position: 1 },
    });
    await client.responses.delete(queued.id);

    const begun = await client.responses.create(inBackground);
    const attempt = await worker.next(jobOf(begun.id));
    await attempt.say('Hello');
    expect(await elsewhere.responses.retrieve(begun.id)).toMatchObject({ status: 'in_progress' });
    await attempt.complete();
    expect(await elsewhere.responses.retrieve(begun.id)).toMatchObject({
      status: 'completed',
      output_text: 'Hello',
      background: true,
    });
  });

  it('goes on without its reader, who resumes on another replica', async () => {
    const stream = await client.responses.create({ ...inBackground, stream: true });
    const events = stream[Symbol.asyncIterator]();
    const seen: ResponseStreamEvent[] = [];
    const read = async (type: string) => {
      for (;;) {
        const { value, done } = await events.next();
        if (done === true) throw new Error(`There is no ${type}`);
        seen.push(value);
        if (value.type === type) return;
      }
    };
    await read('response.created');
    const [first] = seen;
    const id = first?.type === 'response.created' ? first.response.id : '';
    const attempt = await worker.next(jobOf(id));
    expect(attempt.job.onInterrupt).toBe('continue');
    await attempt.say('Hello ');
    await read('response.output_text.delta');
    stream.controller.abort();

    const after = seen.at(-1)?.sequence_number ?? 0;
    const resuming = elsewhere.responses.retrieve(id, { stream: true, starting_after: after });
    await attempt.say('world');
    await attempt.complete();
    const rest = await all(await resuming);
    const numbers = [...seen, ...rest].map((event) => event.sequence_number);
    expect(numbers).toEqual(numbers.map((_, at) => at));
    expect(rest[0]).toMatchObject({ type: 'response.output_text.delta', delta: 'world' });
    expect(rest.at(-1)).toMatchObject({
      type: 'response.completed',
      response: { output: [{ content: [{ text: 'Hello world' }] }] },
    });

    const helper = elsewhere.responses.stream({ response_id: id, starting_after: after });
    const again: ResponseStreamEvent[] = [];
    helper.on('event', (event) => again.push(event));
    expect(await helper.finalResponse()).toMatchObject({ output_text: 'Hello world' });
    expect(again).toEqual(rest);
  });

  it('is cancelled once, with what there was of it', async () => {
    const { id } = await client.responses.create(inBackground);
    const attempt = await worker.next(jobOf(id));
    await attempt.say('Hel');
    const cancelling = elsewhere.responses.cancel(id);
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
    const cancelled = await cancelling;
    expect(cancelled).toMatchObject({
      status: 'cancelled',
      error: null,
      output: [{ content: [{ text: 'Hel' }] }],
    });
    expect(await client.responses.cancel(id)).toEqual(cancelled);
    const events = await all(await client.responses.retrieve(id, { stream: true }));
    expect(events.at(-1)).toMatchObject({
      type: 'response.failed',
      response: { status: 'cancelled' },
    });
  });
});
