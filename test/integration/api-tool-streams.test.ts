/** Streams with calls of tools, choices and probabilities, read by OpenAI's official client. */
import type { JobEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { TIMINGS, USAGE } from '../harness/api.ts';
import { serveRecorded } from '../harness/recorded-answers.ts';
import {
  call,
  messages,
  parameters,
  runnableWeather,
  token,
  weather,
} from '../harness/weather-tool.ts';

const text = (said: string): JobEvent => ({ type: 'delta', text: said });
const end = (fields: Partial<Extract<JobEvent, { type: 'completed' }>> = {}): JobEvent => ({
  type: 'completed',
  finish_reason: 'stop',
  usage: USAGE,
  timings: TIMINGS,
  ...fields,
});
/** As engines send them: some name the call once, some again with each piece. */
const callEvents = (isNamedAgain: boolean): JobEvent[] => {
  const name = { id: 'call_1', type: 'function' as const };
  const again = isNamedAgain ? name : {};
  const piece = (json: string) => ({
    index: 0,
    ...again,
    function: { arguments: json, ...(isNamedAgain ? { name: 'get_weather' } : {}) },
  });
  return [
    {
      type: 'delta',
      text: '',
      tool_calls: [{ index: 0, ...name, function: { name: 'get_weather', arguments: '' } }],
    },
    { type: 'delta', text: '', tool_calls: [piece('{"city":')] },
    { type: 'delta', text: '', tool_calls: [piece('"Oslo"}')] },
    end({ finish_reason: 'tool_calls' }),
  ];
};

const said = (content: string, index?: number): JobEvent => ({
  type: 'delta',
  text: content,
  index,
  logprobs: { content: [token(content)] },
});

describe('a stream', () => {
  it.each([false, true])(
    'puts a call of a tool together (named again: %s)',
    async (isNamedAgain) => {
      const { client } = await serveRecorded([callEvents(isNamedAgain)]);
      const stream = client.chat.completions.stream({ model: 'auto', messages, tools: [weather] });
      const done: unknown[] = [];
      stream.on('tool_calls.function.arguments.done', ({ parsed_arguments }) =>
        done.push(parsed_arguments),
      );
      const { choices } = await stream.finalChatCompletion();
      expect(choices[0]).toMatchObject({
        message: { role: 'assistant', content: null, tool_calls: [call] },
        finish_reason: 'tool_calls',
      });
      expect(done).toContainEqual({ city: 'Oslo' });
    },
  );

  it('puts several calls together, with text before them', async () => {
    const { client } = await serveRecorded([
      [
        text('Let me see.'),
        ...callEvents(false).slice(0, -1),
        {
          type: 'delta',
          text: '',
          tool_calls: [
            {
              index: 1,
              id: 'call_2',
              function: { name: 'get_weather', arguments: '{"city":"Rome"}' },
            },
          ],
        },
        end({ finish_reason: 'tool_calls' }),
      ],
    ]);
    const stream = client.chat.completions.stream({ model: 'auto', messages, tools: [weather] });
    const message = await stream.finalMessage();
    expect(message.content).toBe('Let me see.');
    expect(message.tool_calls).toMatchObject([
      call,
      { id: 'call_2', type: 'function', function: { arguments: '{"city":"Rome"}' } },
    ]);
  });

  it('runs the tools of a client', async () => {
    const { client, bodies } = await serveRecorded([callEvents(false), [text('It rains.'), end()]]);
    const calls: unknown[] = [];
    const runner = client.chat.completions.runTools({
      model: 'auto',
      messages,
      stream: true,
      tools: [runnableWeather(calls)],
    });
    expect(await runner.finalContent()).toBe('It rains.');
    expect(calls).toEqual([{ city: 'Oslo' }]);
    expect(bodies[1]?.messages).toMatchObject([
      messages[0],
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', content: 'Rain', tool_call_id: 'call_1' },
    ]);
  });

  it('puts choices and their probabilities together', async () => {
    const finish_reasons = ['length', 'stop'] as ('length' | 'stop')[];
    const { client } = await serveRecorded([
      [said('B', 1), said('A'), said('b', 1), end({ finish_reason: 'length', finish_reasons })],
    ]);
    const stream = client.chat.completions.stream({
      model: 'auto',
      messages,
      n: 2,
      logprobs: true,
    });
    const { choices } = await stream.finalChatCompletion();
    expect(choices.map(({ message }) => message.content)).toEqual(['A', 'Bb']);
    expect(choices.map((choice) => choice.finish_reason)).toEqual(finish_reasons);
    expect(choices.map(({ logprobs }) => logprobs?.content)).toEqual([
      [token('A')],
      [token('B'), token('b')],
    ]);
  });

  it('is parsed by the schema of its answer', async () => {
    const { client } = await serveRecorded([[text('{"city":'), text('"Oslo"}'), end()]]);
    const stream = client.chat.completions.stream({
      model: 'auto',
      messages,
      response_format: {
        type: 'json_schema',
        json_schema: { name: 'answer', schema: parameters, strict: true },
      },
    });
    const { choices } = await stream.finalChatCompletion();
    expect(JSON.parse(choices[0]?.message.content ?? '')).toEqual({ city: 'Oslo' });
  });

  it('may say that it was continued, and that its model thought', async () => {
    const { client } = await serveRecorded([
      [{ type: 'delta', text: '', reasoning: 'Hm' }, text('A'), end({ continued: 1 })],
    ]);
    const stream = client.chat.completions.stream({
      model: 'auto',
      messages,
      stream_options: { include_usage: true },
    });
    const final = await stream.finalChatCompletion();
    expect(final).toMatchObject({
      choices: [{ message: { content: 'A', reasoning: 'Hm' }, finish_reason: 'stop' }],
      usage: USAGE,
      qarr: { continued: 1 },
    });
  });

  it('that begins anew in the middle of a call breaks', async () => {
    const { client } = await serveRecorded([
      [...callEvents(false).slice(0, 2), { type: 'reset', attempt: 2 }, ...callEvents(false)],
    ]);
    const stream = client.chat.completions.stream({ model: 'auto', messages, tools: [weather] });
    await expect(stream.finalChatCompletion()).rejects.toMatchObject({
      code: 'upstream_interrupted',
    });
  });
});
