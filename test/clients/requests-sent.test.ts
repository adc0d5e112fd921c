/**
 * What the installed versions of the client libraries send, where an application uses what they
 * offer. Needs no API; each body is one that it takes.
 */
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { Output, generateText, jsonSchema, streamText } from 'ai';
import type { LanguageModel } from 'ai';
import { chatRequestSchema } from '@qarr/router-core';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { CHAT_ANSWERS, CHAT_STREAMS } from './chat-wires.ts';
import { serveWires } from './wire-server.ts';
import type { SeenRequest } from './wire-server.ts';

const SCHEMA = { type: 'object' as const, properties: { a: { type: 'string' as const } } };
const SETTINGS = {
  maxOutputTokens: 9,
  temperature: 0.5,
  topP: 0.5,
  frequencyPenalty: 0.5,
  presencePenalty: 0.5,
  stopSequences: ['x'],
  seed: 1,
  maxRetries: 0,
};
const SAMPLING = {
  max_tokens: 9,
  temperature: 0.5,
  top_p: 0.5,
  frequency_penalty: 0.5,
  presence_penalty: 0.5,
  stop: ['x'],
  seed: 1,
};

type Use = (baseURL: string) => PromiseLike<unknown>;

/** The request that it makes. */
async function sentBy(use: Use, { isStream }: { isStream: boolean }): Promise<SeenRequest> {
  const wires = isStream ? CHAT_STREAMS : CHAT_ANSWERS;
  const { baseURL, seen } = await serveWires([wires['as it should be']]);
  // What it makes of the answer is not what is asked for here.
  await Promise.resolve(use(baseURL)).catch(() => {});
  const [request] = seen;
  if (request === undefined) throw new Error('It has sent nothing.');
  return request;
}

const openai = (baseURL: string) => createOpenAI({ baseURL, apiKey: 'unused' });
const compatible = (baseURL: string, fields: object = {}) =>
  createOpenAICompatible({ name: 'qarr', baseURL, apiKey: 'unused', ...fields })('auto');
const langchain = (baseURL: string) =>
  new ChatOpenAI({
    model: 'auto',
    apiKey: 'unused',
    maxTokens: 9,
    maxRetries: 0,
    stop: ['x'],
    configuration: { baseURL },
  });

/** It writes to the console what it thinks of its settings, and what went wrong. */
globalThis.AI_SDK_LOG_WARNINGS = false;
const onError = () => {};
const streamed = (model: LanguageModel) =>
  streamText({ model, prompt: 'Hi', onError, ...SETTINGS }).text;
const structured = (model: LanguageModel) =>
  generateText({ model, prompt: 'Hi', output: Output.object({ schema: jsonSchema(SCHEMA) }) });

describe('a request of', () => {
  it.each<[name: string, use: Use, isStream: boolean, body: object]>([
    [
      'openai create is what its user wrote',
      (baseURL) =>
        new OpenAI({ baseURL, apiKey: 'unused' }).chat.completions.create({
          model: 'auto',
          messages: [{ role: 'user', content: 'Hi' }],
        }),
      false,
      {},
    ],
    [
      'openai stream asks for a stream, and for nothing else',
      (baseURL) =>
        new OpenAI({ baseURL, apiKey: 'unused' }).chat.completions
          .stream({ model: 'auto', messages: [{ role: 'user', content: 'Hi' }] })
          .done(),
      true,
      { stream: true },
    ],
    [
      'the AI SDK for OpenAI has all of its settings, and wants the usage',
      (baseURL) => streamed(openai(baseURL).chat('auto')),
      true,
      { ...SAMPLING, stream: true, stream_options: { include_usage: true } },
    ],
    [
      'the AI SDK for others has them too, and wants the usage where it is told to',
      (baseURL) => streamed(compatible(baseURL, { includeUsage: true })),
      true,
      { ...SAMPLING, stream: true, stream_options: { include_usage: true } },
    ],
    [
      'the AI SDK for others wants no usage by itself',
      (baseURL) => streamed(compatible(baseURL)),
      true,
      { ...SAMPLING, stream: true },
    ],
    [
      'the AI SDK for OpenAI names its schema',
      (baseURL) => structured(openai(baseURL).chat('auto')),
      false,
      {
        response_format: {
          type: 'json_schema',
          json_schema: { schema: SCHEMA, strict: true, name: 'response' },
        },
      },
    ],
    [
      'the AI SDK for others asks for JSON only, unless it is told of schemas',
      (baseURL) => structured(compatible(baseURL)),
      false,
      { response_format: { type: 'json_object' } },
    ],
    [
      'LangChain says that it wants no stream',
      (baseURL) => langchain(baseURL).invoke('Hi'),
      false,
      { max_tokens: 9, stop: ['x'], stream: false },
    ],
    [
      'LangChain wants the usage of its streams',
      async (baseURL) => {
        for await (const chunk of await langchain(baseURL).stream('Hi')) void chunk;
      },
      true,
      {
        max_tokens: 9,
        stop: ['x'],
        stream: true,
        stream_options: { include_usage: true },
      },
    ],
    [
      'LangChain has its schema as it made it',
      (baseURL) => langchain(baseURL).withStructuredOutput(SCHEMA, { name: 'place' }).invoke('Hi'),
      false,
      {
        max_tokens: 9,
        stop: ['x'],
        stream: false,
        response_format: { type: 'json_schema', json_schema: { name: 'place', schema: SCHEMA } },
      },
    ],
  ])('%s', async (_name, use, isStream, expected) => {
    const { path, body } = await sentBy(use, { isStream });
    expect(path).toBe('/v1/chat/completions');
    const { model, messages, ...fields } = JSON.parse(body) as Record<string, unknown>;
    expect([model, messages]).toEqual(['auto', [{ role: 'user', content: 'Hi' }]]);
    expect(fields).toEqual(expected);
    expect(chatRequestSchema.safeParse(JSON.parse(body)).error).toBeUndefined();
  });

  it('the AI SDK for OpenAI is one of a response, where its user does not say chat', async () => {
    const { path } = await sentBy((baseURL) => streamed(openai(baseURL)('auto')), {
      isStream: true,
    });
    expect(path).toBe('/v1/responses');
  });

  it('a helper says that it is one, and not that it wants a stream of events', async () => {
    const { headers } = await sentBy(
      (baseURL) =>
        new OpenAI({ baseURL, apiKey: 'unused', organization: 'o', project: 'p' }).chat.completions
          .stream({ model: 'auto', messages: [{ role: 'user', content: 'Hi' }] })
          .done(),
      { isStream: true },
    );
    expect(headers).toMatchObject({
      accept: 'application/json',
      authorization: 'Bearer unused',
      'openai-organization': 'o',
      'openai-project': 'p',
      'x-stainless-helper-method': 'stream',
    });
  });
});
