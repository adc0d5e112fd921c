/** `/v1/responses` of the running API, through every client that knows it. */
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, jsonSchema, stepCountIs, tool } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
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
const callTool = (attempt: TestAttempt) =>
  attempt.completeWith({ text: '', tool_calls: [call], finish_reason: 'tool_calls' });

/** What each makes of a job that fails in the middle: what was measured of them. */
const FAILED: Readonly<Record<string, string>> = {
  'openai create': '"Hel", finish failed',
  'openai stream': '"Hel", finish failed',
  'ai openai': 'error part, finish error: The worker died in the middle of the answer.',
  // Its user sees an answer that has no end.
  langchain: '"Hel", finish none',
};

describe.each(Object.keys(RESPONSES))('%s', (name) => {
  it('reads a stream', async () => {
    const [outcome] = await Promise.all([RESPONSES[name]?.({ baseURL }), answer(['Hel', 'lo'])]);
    expect(outcome && inWords(outcome)).toBe('ok');
  });

  it('shows a failure in the middle', async () => {
    const [outcome] = await Promise.all([
      RESPONSES[name]?.({ baseURL }),
      answer(['Hel'], (attempt) => attempt.fail('worker_lost')),
    ]);
    expect(outcome && inWords(outcome)).toBe(FAILED[name]);
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
