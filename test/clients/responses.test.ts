/** Streamed responses of the running API through every client: as they go well, and as they do not. */
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { call, parameters } from '../harness/weather-tool.ts';
import { RESPONSES, inWords } from './clients.ts';

let world: ApiWorld;
let worker: TestWorker;
let baseURL: string;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: '100' });
  worker = await world.startWorker('fast');
  baseURL = `${world.api.url}/v1`;
});
afterAll(() => world.stop());

async function answer(texts: string[], end = complete): Promise<TestAttempt> {
  const attempt = await worker.next();
  for (const text of texts) await attempt.say(text);
  await end(attempt);
  return attempt;
}
const complete = (attempt: TestAttempt) => attempt.complete();
async function callTool(attempt: TestAttempt): Promise<void> {
  await attempt.say('', { toolCalls: [{ index: 0, ...call }] });
  await attempt.completeWith({ text: '', tool_calls: [call], finish_reason: 'tool_calls' });
}

type Run = (attempt: TestAttempt) => Promise<unknown>;

describe('a response that', () => {
  // What LangChain leaves out, and what OpenAI's raw client leaves to its user, wire-lab.test.ts shows.
  it.each<[what: string, run: Run, byClient: string[]]>([
    [
      'goes well',
      async (attempt) => {
        await attempt.say('Hel');
        await attempt.say('lo');
        await attempt.complete();
      },
      ['ok', 'ok', 'ok', 'ok'],
    ],
    [
      'is carried on by another attempt',
      async (attempt) => {
        await attempt.say('Hel');
        await attempt.handBack();
        const next = await worker.next(attempt.job.jobId);
        await next.say('lo');
        await next.complete();
      },
      ['ok', 'ok', 'ok', 'ok'],
    ],
    [
      'reaches its limit',
      async (attempt) => {
        await attempt.say('Hel');
        await attempt.completeWith({ text: 'Hel', finish_reason: 'length' });
      },
      [
        '"Hel", finish incomplete',
        '"Hel", finish incomplete',
        '"Hel", finish length',
        '"Hel", finish incomplete',
      ],
    ],
    [
      'fails in the middle',
      async (attempt) => {
        await attempt.say('Hel');
        await attempt.fail('worker_lost');
      },
      [
        '"Hel", finish failed',
        '"Hel", finish failed',
        'error part, finish error: The worker died in the middle of the answer.',
        '"Hel", finish none',
      ],
    ],
    [
      'is cancelled by somebody else',
      async (attempt) => {
        await attempt.say('Hel');
        const url = `${baseURL}/jobs/${attempt.job.jobId}/cancel`;
        const cancelling = fetch(url, { method: 'POST' });
        await waitUntil('the worker is told', () => attempt.stopped === 'told');
        await attempt.giveUp(1);
        await cancelling;
      },
      [
        '"Hel", finish cancelled',
        '"Hel", finish cancelled',
        '"Hel", finish error',
        '"Hel", finish none',
      ],
    ],
  ])('%s', async (_what, run, expected) => {
    for (const [at, ask] of Object.values(RESPONSES).entries()) {
      const asking = ask({ baseURL });
      await run(await worker.next());
      expect([at, inWords(await asking)]).toEqual([at, expected[at]]);
    }
  });
});

describe('the AI SDK', () => {
  it('runs a tool, and goes on with what it said', async () => {
    const [{ text }, , second] = await Promise.all([
      generateText({
        model: createOpenAI({ baseURL, apiKey: 'unused' })('auto'),
        maxRetries: 0,
        prompt: 'What is the weather in Oslo?',
        stopWhen: stepCountIs(2),
        tools: {
          get_weather: tool({
            description: 'The weather',
            inputSchema: jsonSchema(parameters as never),
            execute: async () => 'Rain',
          }),
        },
      }),
      answer([], callTool),
      answer(['It rains.']),
    ]);
    expect(text).toBe('It rains.');
    expect(second.job.request).toMatchObject({
      messages: [
        { role: 'user', content: 'What is the weather in Oslo?' },
        { role: 'assistant', tool_calls: [call] },
        { role: 'tool', content: expect.stringContaining('Rain'), tool_call_id: call.id },
      ],
    });
  });
});
