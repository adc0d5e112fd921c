import { QarrError, jobError } from '@qarr/router-core';
import type { JobEvent, JobRecord, LoggedEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { chatCompletion, createChatChunks } from './chat-chunks.ts';

const identity = { jobId: 'job_1', tier: 'fast', created: 1_790_000_000 };
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

const head =
  '{"id":"chatcmpl-job_1","object":"chat.completion.chunk","created":1790000000,"model":"fast",';
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
    expect(text).toContain('"delta":{"content":"","reasoning":"hm"}');
  });

  it('carry a null usage each and end with a chunk of it where it is asked for', () => {
    const { text } = chunksOf([{ type: 'delta', text: 'x' }, completed], { includeUsage: true });
    const data = text.split('\n\n').map((frame) => frame.slice('data: '.length));
    const parsed = data.slice(0, 4).map((json) => JSON.parse(json) as { usage: unknown });
    expect(parsed.map((chunk) => chunk.usage)).toEqual([null, null, null, usage]);
    expect(parsed[3]).toMatchObject({ choices: [] });
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

describe('a whole answer', () => {
  const record: JobRecord = {
    id: 'job_1',
    state: 'completed',
    owner: 'anonymous',
    class: 'interactive',
    tier: 'fast',
    requestedTier: null,
    reasons: ['default'],
    epoch: 1,
    attempt: 1,
    seq: 4,
    fallback: 'up',
    onInterrupt: 'fail',
    request: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1, temperature: 0 },
    droppedMessages: 0,
    metadata: {},
    createdAt: 1_790_000_000_999,
    startedAt: 1_790_000_001_000,
    finishedAt: 1_790_000_002_000,
    queueDeadline: 1_790_000_030_000,
    runTimeoutMs: 1_000,
    cancelRequested: false,
    result: { text: 'Hello', reasoning: 'hm', finish_reason: 'stop' },
    usage,
    timings,
    error: null,
  };

  it('has the shape of OpenAI, with the time in seconds', () => {
    expect(chatCompletion(record)).toEqual({
      id: 'chatcmpl-job_1',
      object: 'chat.completion',
      created: 1_790_000_000,
      model: 'fast',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello', refusal: null, reasoning: 'hm' },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage,
      system_fingerprint: null,
    });
  });

  it.each<[Partial<JobRecord>, string]>([
    [{ state: 'cancelled' }, 'job_cancelled'],
    [{ state: 'failed', error: jobError('upstream_error') }, 'upstream_error'],
    [{ state: 'expired', error: jobError('queue_timeout') }, 'queue_timeout'],
    [{ result: null }, 'internal_error'],
  ])('of a job that ended otherwise is its error: %o', (fields, code) => {
    expect(() => chatCompletion({ ...record, ...fields })).toThrow(new QarrError(code as never));
  });
});
