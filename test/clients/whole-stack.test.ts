/** What clients do with answers, on a whole stack: the API, a worker and two engines. */
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startEngine } from '../conformance/world/engine.ts';
import type { Engine } from '../conformance/world/engine.ts';
import { startWorker } from '../conformance/world/worker.ts';
import { openStream, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { parameters, runnableWeather, weather } from '../harness/weather-tool.ts';
import { chatStreamProblems } from './wire-check.ts';

/** The same seed: an answer is the same on both, and goes on in the same way. */
const ENGINE = ['--profile=awq-24gb', '--time-scale=0.2', '--seed=7'];
const HELLO = [{ role: 'user' as const, content: 'Hello' }];
const SCHEMA: Parameters<typeof jsonSchema>[0] = JSON.parse(JSON.stringify(parameters));
/** The simulator calls a tool where it is named. */
const ASK_WEATHER = [{ role: 'user' as const, content: 'Use the tool get_weather for Oslo.' }];
const LONG = { messages: HELLO, max_tokens: 300, ignore_eos: true, temperature: 0 };

let world: ApiWorld;
let engines: Engine[];
let worker: Awaited<ReturnType<typeof startWorker>>;
let client: OpenAI;
let baseURL: string;

beforeAll(async () => {
  [world, ...engines] = await Promise.all([
    startApiWorld(),
    startEngine(ENGINE),
    startEngine(ENGINE),
  ]);
  worker = await startWorker({
    redisUrl: world.redisServer.url,
    tier: 'fast',
    engineUrls: engines.map(({ url }) => url),
    jobsPerEngine: 16,
    patience: 'busy',
  });
  await worker.untilReady();
  baseURL = `${world.api.url}/v1`;
  client = new OpenAI({ baseURL, apiKey: 'unused', maxRetries: 0 });
});
afterAll(async () => {
  await worker.stop();
  await Promise.all([world.stop(), ...engines.map((engine) => engine.stop())]);
});

const model = 'fast';

describe("OpenAI's client", () => {
  it('gets the same text for the same seed, in one piece and streamed, until its stop', async () => {
    const request = { model, messages: HELLO, max_tokens: 40, seed: 5, temperature: 0 };
    const whole = await client.chat.completions.create(request);
    const text = whole.choices[0]?.message.content ?? '';
    expect(text.length).toBeGreaterThan(10);
    const stream = client.chat.completions.stream({
      ...request,
      stream_options: { include_usage: true },
    });
    const streamed = await stream.finalChatCompletion();
    expect(streamed.choices[0]?.message.content).toBe(text);
    expect(streamed.usage).toEqual(whole.usage);
    expect(whole.usage?.completion_tokens).toBeGreaterThan(0);

    const stop = text.slice(5, 8);
    const stopped = await client.chat.completions.create({ ...request, stop: [stop] });
    expect(stopped.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { content: text.slice(0, text.indexOf(stop)) },
    });
  });

  it.each([false, true])(
    'runs tools and carries their results back (stream: %s)',
    async (stream) => {
      const calls: unknown[] = [];
      const request = {
        model,
        messages: ASK_WEATHER,
        tools: [runnableWeather(calls)],
        max_tokens: 300,
      };
      const runner = stream
        ? client.chat.completions.runTools({ ...request, stream: true })
        : client.chat.completions.runTools(request);
      const final = await runner.finalContent();
      expect(final?.length).toBeGreaterThan(0);
      expect(calls).toEqual([expect.objectContaining({ city: expect.any(String) })]);
      expect(runner.messages.map(({ role }) => role)).toEqual([
        'user',
        'assistant',
        'tool',
        'assistant',
      ]);
    },
  );

  it('parses an answer that keeps to a schema', async () => {
    const { choices } = await client.chat.completions.parse({
      model,
      messages: HELLO,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'place', schema: parameters, strict: true },
      },
    });
    expect(JSON.parse(choices[0]?.message.content ?? '')).toHaveProperty('city');
  });

  it('gets probabilities and choices, in one piece and streamed', async () => {
    const request = {
      model,
      messages: HELLO,
      max_tokens: 8,
      n: 2,
      logprobs: true,
      top_logprobs: 2,
      seed: 1,
    };
    const whole = await client.chat.completions.create(request);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1]);
    for (const { choices } of [whole, streamed]) {
      for (const { message, logprobs } of choices) {
        const tokens = logprobs?.content ?? [];
        expect(tokens.map(({ token }) => token).join('')).toBe(message.content);
        expect(tokens[0]?.top_logprobs).toHaveLength(2);
      }
    }
    expect(streamed.choices.map(({ message }) => message.content)).toEqual(
      whole.choices.map(({ message }) => message.content),
    );
  });

  it('sees one text when the engine of its answer dies in the middle', async () => {
    const { choices } = await client.chat.completions.create({ model, ...LONG });
    const undisturbed = choices[0]?.message.content;
    const text = { content: '' };
    const stream = client.chat.completions.stream({ model, ...LONG });
    stream.on('content', (_delta, snapshot) => (text.content = snapshot));
    await waitUntil('it has begun', () => text.content.length > 50);
    const busy = await busyEngine();
    await busy.stop();
    engines.splice(engines.indexOf(busy), 1);
    const { choices: ended } = await stream.finalChatCompletion();
    expect(ended[0]?.message.content).toBe(undisturbed);
  });

  it('has an engine free within a moment when it is aborted', async () => {
    const leaving = new AbortController();
    const { signal } = leaving;
    const stream = await client.chat.completions.create(
      { model, ...LONG, max_tokens: 4_000, stream: true },
      { signal },
    );
    for await (const { choices } of stream) if (choices[0]?.delta.content) leaving.abort();
    await waitUntil('no engine is busy', async () => (await openRequests()) === 0);
  });
});

describe('the AI SDK', () => {
  it.each(['openai', 'compatible'])(
    'streams, runs tools and keeps to a schema (%s)',
    async (kind) => {
      const settings = { baseURL, apiKey: 'unused' };
      const chat =
        kind === 'openai'
          ? createOpenAI(settings).chat(model)
          : createOpenAICompatible({
              name: 'qarr',
              includeUsage: true,
              supportsStructuredOutputs: true,
              ...settings,
            })(model);
      const options = { model: chat, maxRetries: 0, maxOutputTokens: 300 };
      const streamed = streamText({ ...options, prompt: 'Hello' });
      expect((await streamed.text).length).toBeGreaterThan(0);
      expect((await streamed.usage).outputTokens).toBeGreaterThan(0);

      for (const run of [streamText, generateText]) {
        const calls: unknown[] = [];
        const result = await run({
          ...options,
          messages: ASK_WEATHER,
          tools: { get_weather: weatherTool(calls) },
          stopWhen: stepCountIs(2),
        });
        expect((await result.text).length).toBeGreaterThan(0);
        expect(calls).toEqual([expect.objectContaining({ city: expect.any(String) })]);
      }

      const schema = jsonSchema<{ city: string }>(SCHEMA);
      const { output } = await generateText({
        ...options,
        prompt: 'Hello',
        output: Output.object({ schema }),
      });
      expect(output.city).toEqual(expect.any(String));
    },
  );
});

describe('LangChain', () => {
  it('streams, binds tools and keeps to a schema', async () => {
    const chat = new ChatOpenAI({
      model,
      apiKey: 'unused',
      maxRetries: 0,
      maxTokens: 300,
      configuration: { baseURL },
    });
    let text = '';
    for await (const chunk of await chat.stream('Hello')) text += chunk.text;
    expect(text.length).toBeGreaterThan(0);
    const called = await chat.bindTools([weather]).invoke(ASK_WEATHER[0]?.content ?? '');
    expect(called.tool_calls?.[0]).toMatchObject({ name: 'get_weather' });
    const structured = chat.withStructuredOutput(parameters, { name: 'place' });
    expect(await structured.invoke('Hello')).toHaveProperty('city');
  });
});

it('has nothing on the wire of a call that a client would fail on', async () => {
  const stream = await openStream(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: ASK_WEATHER, tools: [weather], n: 2, stream: true }),
  });
  const text = await stream.end();
  expect(text).toContain('"tool_calls"');
  expect(chatStreamProblems(text)).toEqual([]);
});

function weatherTool(calls: unknown[]) {
  return tool({
    description: 'The weather',
    inputSchema: jsonSchema(SCHEMA),
    execute: async (input: unknown) => {
      calls.push(input);
      return 'Rain';
    },
  });
}

async function openRequests(): Promise<number> {
  const states = await Promise.all(engines.map((engine) => engine.state()));
  return states.flatMap(({ recent }) => recent).filter(({ ended }) => ended === null).length;
}

async function busyEngine(): Promise<Engine> {
  for (const engine of engines) {
    const { recent } = await engine.state();
    if (recent.some(({ ended }) => ended === null)) return engine;
  }
  throw new Error('No engine is busy.');
}
