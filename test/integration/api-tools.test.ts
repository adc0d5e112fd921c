/** Tools, forms of answers, choices and probabilities, as OpenAI's official client uses them. */
import type { JobResult } from '@qarr/router-core';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestWorker } from '../harness/api.ts';
import {
  call,
  messages,
  parameters,
  runnableWeather,
  token,
  weather,
} from '../harness/weather-tool.ts';

const called: JobResult = { text: '', tool_calls: [call], finish_reason: 'tool_calls' };

/** Submits a job with a tool whose schema nests so deep. */
function askNested(url: string, depth: number): Promise<Response> {
  let schema: object = { required: ['a'], enum: ['a'] };
  for (let level = 0; level < depth; level += 1) schema = { anyOf: [schema] };
  const tools = [{ type: 'function', function: { name: 'f', parameters: schema } }];
  return postJson(`${url}/v1/jobs`, { messages, tools });
}

describe('an answer as a whole', () => {
  let world: ApiWorld;
  let worker: TestWorker;
  let client: OpenAI;

  beforeAll(async () => {
    world = await startApiWorld();
    worker = await world.startWorker('fast');
    client = new OpenAI({ baseURL: `${world.api.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  });
  afterAll(() => world.stop());

  it('reaches the engine with all of its fields, and nothing is lost of a schema', async () => {
    const fields = {
      tools: [weather],
      tool_choice: { type: 'function' as const, function: { name: 'get_weather' } },
      parallel_tool_calls: false,
      response_format: {
        type: 'json_schema' as const,
        json_schema: { name: 'answer', schema: parameters, strict: true },
      },
      n: 2,
      logprobs: true,
      top_logprobs: 3,
    };
    const answering = client.chat.completions.create({ model: 'auto', messages, ...fields });
    const attempt = await worker.next();
    expect(attempt.job.request).toEqual({ messages, max_tokens: 512, temperature: 0.7, ...fields });
    await attempt.completeWith(called);
    await answering;
  });

  it('may have the deepest schema that is allowed', async () => {
    expect(await (await askNested(world.api.url, 10)).text()).toContain('job_');
    await (await worker.next()).complete();
    const refused = await askNested(world.api.url, 11);
    expect(await refused.text()).toContain('tools.0.function.parameters must nest at most 10 deep');
  });

  it('runs the tools of a client, and takes their results', async () => {
    const calls: unknown[] = [];
    const runner = client.chat.completions.runTools({
      model: 'auto',
      messages,
      tools: [runnableWeather(calls)],
    });
    const answering = runner.finalContent();
    await (await worker.next()).completeWith(called);
    const second = await worker.next();
    expect(second.job.request).toMatchObject({
      messages: [
        ...messages,
        { role: 'assistant', content: '', tool_calls: [call] },
        { role: 'tool', content: 'Rain', tool_call_id: 'call_1' },
      ],
    });
    await second.completeWith({ text: 'It rains.', finish_reason: 'stop' });
    expect(await answering).toBe('It rains.');
    expect(calls).toEqual([{ city: 'Oslo' }]);
  });

  it('has every choice with its probabilities', async () => {
    const answering = client.chat.completions.create({
      model: 'auto',
      messages,
      n: 2,
      logprobs: true,
    });
    const first: JobResult = {
      text: 'A',
      logprobs: { content: [token('A')] },
      finish_reason: 'stop',
    };
    const second = { ...first, text: 'B', finish_reason: 'length' as const };
    await (await worker.next()).completeWith({ ...first, choices: [first, second] });
    const { choices } = await answering;
    expect(choices.map(({ message }) => message.content)).toEqual(['A', 'B']);
    expect(choices.map((choice) => choice.finish_reason)).toEqual(['stop', 'length']);
    expect(choices[0]?.logprobs?.content).toEqual([token('A')]);
  });

  it('says in a header how often it was continued, if it was', async () => {
    for (const [continued, header] of [
      [2, '2'],
      [0, null],
    ] as const) {
      const answering = client.chat.completions.create({ model: 'auto', messages }).withResponse();
      const attempt = await worker.next();
      await attempt.completeWith({ text: 'A', finish_reason: 'stop', continued });
      const { response } = await answering;
      expect(response.headers.get('x-qarr-continued')).toBe(header);
    }
  });

  it('is shown by a job as it is stored', async () => {
    const submitted = await postJson(`${world.api.url}/v1/jobs`, { messages, tools: [weather] });
    const { urls } = (await submitted.json()) as { urls: { self: string } };
    const result = { ...called, continued: 1 };
    await (await worker.next()).completeWith(result);
    expect(await (await fetch(urls.self)).json()).toMatchObject({ status: 'completed', result });
  });

  it.each([
    [true, 'continue'],
    [false, 'restart'],
  ])('is to be continued where it is streamed: %s', async (stream, onInterrupt) => {
    const leaving = new AbortController();
    const options = { signal: leaving.signal };
    const answering = client.chat.completions.create({ model: 'auto', messages, stream }, options);
    const attempt = await worker.next();
    expect(attempt.job.onInterrupt).toBe(onInterrupt);
    await attempt.complete();
    await answering;
    leaving.abort();
  });
});
