import { jobError } from '@qarr/router-core';
import type { JobEvent, LoggedEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { createChatChunks } from './chat-chunks.ts';

const identity = {
  jobId: 'job_1',
  tier: 'fast',
  created: 1_790_000_000,
  serviceTier: 'default' as const,
};
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const timings = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const completed: JobEvent = { type: 'completed', finish_reason: 'length', usage, timings };

function logged(events: JobEvent[]): LoggedEvent[] {
  return events.map((event, index) => ({
    seq: index + 1,
    type: event.type,
    json: JSON.stringify(event),
  }));
}

function chunksOf(events: JobEvent[], { includeUsage = false } = {}) {
  const chunks = createChatChunks(identity, { includeUsage });
  return { text: chunks.frames(logged(events)), chunks };
}

interface Chunk {
  choices: { index: number; delta: object; logprobs: unknown; finish_reason: unknown }[];
  [field: string]: unknown;
}

function parsed(events: JobEvent[]): Chunk[] {
  const frames = chunksOf(events)
    .text.split('\n\n')
    .filter((frame) => frame.startsWith('data: {'));
  return frames.map((frame) => JSON.parse(frame.slice('data: '.length)) as Chunk);
}

const continuedTimes = (continued: number) =>
  parsed([{ ...completed, finish_reasons: ['stop', 'stop'], continued }]);

const ROLE = { role: 'assistant', content: '' };
const head =
  '{"id":"chatcmpl-job_1","object":"chat.completion.chunk","created":1790000000,"model":"fast","service_tier":"default",';
function choice(delta: string, finish = 'null'): string {
  return `data: ${head}"choices":[{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}]}\n\n`;
}

describe('chat chunks', () => {
  it('are nothing before the first text', () => {
    const { text, chunks } = chunksOf([
      { type: 'queued', tier: 'fast', route: [], position: 1, estimated_wait_ms: null },
      { type: 'started', tier: 'fast', worker: 'w', attempt: 1 },
    ]);
    expect([text, chunks.isOver]).toEqual(['', false]);
  });

  it('name the tier that the job was moved to', () => {
    const moved: JobEvent = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'no_worker' };
    const [first, ...more] = parsed([moved, { type: 'delta', text: 'Hi' }, completed]);
    for (const chunk of [first, ...more]) expect(chunk).toMatchObject({ model: 'precise' });
  });

  it('are the role once, the text, the finish and [DONE]', () => {
    const { text, chunks } = chunksOf([
      { type: 'delta', text: 'Hel' },
      { type: 'delta', text: 'lo' },
      completed,
    ]);
    expect(text).toBe(
      choice('{"role":"assistant","content":""}') +
        choice('{"content":"Hel"}') +
        choice('{"content":"lo"}') +
        choice('{}', '"length"') +
        'data: [DONE]\n\n',
    );
    expect(chunks.isOver).toBe(true);
  });

  it('carry reasoning beside the text', () => {
    const { text } = chunksOf([{ type: 'delta', text: '', reasoning: 'hm' }]);
    expect(text).toContain('"delta":{"reasoning":"hm"}');
  });

  it('open each choice by its role, and end each by its own reason', () => {
    const chunks = parsed([
      { type: 'delta', text: 'B', index: 1 },
      { type: 'delta', text: 'A' },
      { ...completed, finish_reasons: ['length', 'stop', 'stop'] },
    ]);
    expect(chunks.flatMap(({ choices }) => choices)).toEqual([
      { index: 1, delta: ROLE, logprobs: null, finish_reason: null },
      { index: 1, delta: { content: 'B' }, logprobs: null, finish_reason: null },
      { index: 0, delta: ROLE, logprobs: null, finish_reason: null },
      { index: 0, delta: { content: 'A' }, logprobs: null, finish_reason: null },
      { index: 0, delta: {}, logprobs: null, finish_reason: 'length' },
      { index: 1, delta: {}, logprobs: null, finish_reason: 'stop' },
      { index: 2, delta: ROLE, logprobs: null, finish_reason: null },
      { index: 2, delta: {}, logprobs: null, finish_reason: 'stop' },
    ]);
  });

  it('carry the probabilities of what they carry', () => {
    const content = [{ token: 'x', logprob: -1, top_logprobs: [] }];
    const chunks = parsed([{ type: 'delta', text: 'x', logprobs: { content } }]);
    expect(chunks.map(({ choices }) => choices[0]?.logprobs)).toEqual([
      null,
      { content, refusal: null },
    ]);
  });

  it('name a call of a tool once, and have no content where there are only calls', () => {
    const named = { index: 0, id: 'call_1', function: { name: 'f', arguments: '' } };
    const again = { index: 0, id: 'call_1', type: 'function', function: { name: 'f' } } as const;
    const deltas = parsed([
      { type: 'delta', text: '', tool_calls: [named] },
      { type: 'delta', text: '', tool_calls: [{ ...again, function: { arguments: '{"a":' } }] },
      { type: 'delta', text: '', tool_calls: [again, { index: 1, id: 'call_2' }] },
      { type: 'delta', text: '', tool_calls: [{ index: 1, function: { name: 'g' } }] },
      { type: 'delta', text: '', tool_calls: [{ index: 0, function: { arguments: '1}' } }] },
    ]).map(({ choices }) => choices[0]?.delta);
    expect(deltas).toEqual([
      { role: 'assistant', content: null },
      { tool_calls: [{ ...named, type: 'function' }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"a":' } }] },
      {
        tool_calls: [
          { index: 0, function: { arguments: '' } },
          { index: 1, id: 'call_2', type: 'function', function: { arguments: '' } },
        ],
      },
      { tool_calls: [{ index: 1, function: { name: 'g', arguments: '' } }] },
      { tool_calls: [{ index: 0, function: { arguments: '1}' } }] },
    ]);
  });

  it('name the calls of each choice by themselves', () => {
    const piece = { index: 0, id: 'call_1', function: { name: 'f', arguments: '' } };
    const deltas = parsed([
      { type: 'delta', text: '', tool_calls: [piece] },
      { type: 'delta', text: '', index: 1, tool_calls: [{ ...piece, id: 'call_2' }] },
    ]).map(({ choices }) => choices[0]?.delta);
    expect(deltas[1]).toMatchObject({ tool_calls: [{ id: 'call_1', type: 'function' }] });
    expect(deltas[3]).toMatchObject({ tool_calls: [{ id: 'call_2', type: 'function' }] });
  });

  it('say on the last one how often the answer was continued, if it was', () => {
    expect(continuedTimes(2).map((chunk) => chunk['qarr'])).toEqual([
      undefined,
      undefined,
      undefined,
      { continued: 2 },
    ]);
    expect(continuedTimes(0).at(-1)).not.toHaveProperty('qarr');
  });

  it('carry a null usage each and end with a chunk of it where it is asked for', () => {
    const { text } = chunksOf([{ type: 'delta', text: 'x' }, completed], { includeUsage: true });
    const data = text.split('\n\n').map((frame) => frame.slice('data: '.length));
    const chunks = data.slice(0, 4).map((json) => JSON.parse(json) as { usage: unknown });
    expect(chunks.map((chunk) => chunk.usage)).toEqual([null, null, null, usage]);
    expect(chunks[3]).toMatchObject({ choices: [] });
    expect(data[4]).toBe('[DONE]');
  });

  it('leave the usage out where the engine did not say it', () => {
    const { text } = chunksOf([{ ...completed, usage: null }], { includeUsage: true });
    expect(text).not.toContain('prompt_tokens');
  });

  it.each<[JobEvent, string]>([
    [{ type: 'failed', error: jobError('worker_lost'), usage: null, timings: null }, 'worker_lost'],
    [
      { type: 'expired', error: jobError('queue_timeout'), usage: null, timings: null },
      'queue_timeout',
    ],
    [{ type: 'cancelled', ran: false, tokens: 0, usage: null, timings: null }, 'job_cancelled'],
    [{ type: 'reset', attempt: 2 }, 'upstream_interrupted'],
  ])('end with one error frame, and with nothing after it: %o', (event, code) => {
    const { text, chunks } = chunksOf([event, { type: 'delta', text: 'more' }, completed]);
    expect(chunks.isOver).toBe(true);
    expect(text).toMatch(new RegExp(`^data: \\{"error":\\{[^\\n]*"code":"${code}"\\}\\}\\n\\n$`));
  });
});

describe('the text of a job whose events are gone', () => {
  it('is sent in one piece per choice, with calls and all, and then ends as any other', () => {
    const chunks = createChatChunks(identity, { includeUsage: false });
    const call = {
      id: 'call_1',
      type: 'function',
      function: { name: 'f', arguments: '{}' },
    } as const;
    const choices = [
      { text: 'Hello', reasoning: 'Hm', finish_reason: 'stop' as const },
      { text: '', tool_calls: [call], finish_reason: 'tool_calls' as const },
    ];
    const stored = chunks.stored({ text: 'Hello', finish_reason: 'stop', choices });
    const end = chunks.frames(
      logged([{ ...completed, finish_reason: 'stop', finish_reasons: ['stop', 'tool_calls'] }]),
    );
    const frames = `${stored}${end}`.split('\n\n').filter((frame) => frame.startsWith('data: {'));
    const sent = frames.map(
      (frame) => (JSON.parse(frame.slice('data: '.length)) as Chunk).choices[0],
    );
    expect(sent.map((each) => [each?.index, each?.delta, each?.finish_reason])).toEqual([
      [0, ROLE, null],
      [0, { content: 'Hello', reasoning: 'Hm' }, null],
      [1, { role: 'assistant', content: null }, null],
      [1, { tool_calls: [{ index: 0, ...call }] }, null],
      [0, {}, 'stop'],
      [1, {}, 'tool_calls'],
    ]);
    expect(end).toMatch(/data: \[DONE\]\n\n$/);
  });

  it('is that of a job with one choice', () => {
    const chunks = createChatChunks(identity, { includeUsage: false });
    expect(chunks.stored({ text: 'Hello', finish_reason: 'stop' })).toContain('"content":"Hello"');
  });
});
