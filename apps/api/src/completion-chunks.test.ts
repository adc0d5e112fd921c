import { QarrError, jobError } from '@qarr/router-core';
import type { JobEvent, JobRecord, LoggedEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { completionAnswer } from './completion-answer.ts';
import { createCompletionChunks } from './completion-chunks.ts';

const identity = { jobId: 'job_1', tier: 'fast', created: 1_790_000_000 };
const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const timings = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const completed: JobEvent = { type: 'completed', finish_reason: 'length', usage, timings };
const head = '{"id":"cmpl-job_1","object":"text_completion","created":1790000000,"model":"fast",';
const frame = (rest: string) => `data: ${head}${rest}}\n\n`;

function logged(events: readonly JobEvent[]): LoggedEvent[] {
  return events.map((event, index) => ({
    seq: index + 1,
    type: event.type,
    json: JSON.stringify(event),
  }));
}

function framesOf(events: readonly JobEvent[], { includeUsage = false } = {}) {
  const chunks = createCompletionChunks(identity, { includeUsage });
  return { text: chunks.frames(logged(events)), chunks };
}

const choice = (text: string, index = 0, finish = 'null') =>
  `"choices":[{"text":"${text}","index":${index},"logprobs":null,"finish_reason":${finish}}]`;

/** Of tokens that are one character, and of one that is not. */
const logprobsOf = (...tokens: string[]) => ({
  content: tokens.map((token) => ({
    token,
    logprob: -1,
    top_logprobs: [{ token, logprob: -1 }],
  })),
});
const inLists = (tokens: string[], offsets: number[]) => ({
  tokens,
  token_logprobs: tokens.map(() => -1),
  top_logprobs: tokens.map((token) => ({ [token]: -1 })),
  text_offset: offsets,
});

describe('chunks of a completion', () => {
  it('are the text, the finish and [DONE], and nothing before the first text', () => {
    const { text, chunks } = framesOf([
      { type: 'queued', tier: 'fast', route: [], position: 1, estimated_wait_ms: null },
      { type: 'started', tier: 'fast', worker: 'w', attempt: 1 },
      { type: 'delta', text: 'Hel' },
      { type: 'delta', text: 'lo' },
      completed,
    ]);
    expect(text).toBe(
      frame(choice('Hel')) +
        frame(choice('lo')) +
        frame(choice('', 0, '"length"')) +
        'data: [DONE]\n\n',
    );
    expect(chunks.isOver).toBe(true);
  });

  it('have the usage in a chunk of its own, where it is asked for', () => {
    const { text } = framesOf([{ type: 'delta', text: 'Hi' }, completed], { includeUsage: true });
    expect(text).toBe(
      frame(`${choice('Hi')},"usage":null`) +
        frame(`${choice('', 0, '"length"')},"usage":null`) +
        frame(`"choices":[],"usage":${JSON.stringify(usage)}`) +
        'data: [DONE]\n\n',
    );
  });

  it('end each choice by its own reason, and the last one says that it was continued', () => {
    const { text } = framesOf([
      { type: 'delta', text: 'B', index: 1 },
      { ...completed, finish_reasons: ['length', 'stop'], continued: 2 },
    ]);
    expect(text).toBe(
      frame(choice('B', 1)) +
        frame(choice('', 0, '"length"')) +
        frame(`${choice('', 1, '"stop"')},"qarr":{"continued":2}`) +
        'data: [DONE]\n\n',
    );
  });

  it('say where the tokens of each choice stand in its text, in code points', () => {
    const { text } = framesOf([
      { type: 'delta', text: '🦊b', logprobs: logprobsOf('🦊', 'b') },
      { type: 'delta', text: 'x', index: 1, logprobs: logprobsOf('x') },
      { type: 'delta', text: 'cd', logprobs: logprobsOf('c', 'd') },
      { type: 'delta', text: 'e', logprobs: logprobsOf('e') },
    ]);
    const chunks = text
      .split('\n\n')
      .filter((part) => part !== '')
      .map((part) => JSON.parse(part.slice('data: '.length)) as { choices: object[] });
    expect(chunks.map(({ choices }) => choices[0])).toMatchObject([
      { index: 0, logprobs: inLists(['🦊', 'b'], [0, 1]) },
      { index: 1, logprobs: inLists(['x'], [0]) },
      { index: 0, logprobs: inLists(['c', 'd'], [2, 3]) },
      { index: 0, logprobs: inLists(['e'], [4]) },
    ]);
  });

  it('name the tier that the job was moved to', () => {
    const moved: JobEvent = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'no_worker' };
    const { text } = framesOf([moved, { type: 'delta', text: 'Hi' }]);
    expect(text).toContain('"model":"precise"');
  });

  it.each<[JobEvent, string]>([
    [{ type: 'failed', error: jobError('worker_lost'), usage, timings }, 'worker_lost'],
    [
      { type: 'expired', error: jobError('queue_timeout'), usage: null, timings: null },
      'queue_timeout',
    ],
    [{ type: 'cancelled', ran: true, tokens: 1, usage, timings }, 'job_cancelled'],
    [{ type: 'reset', attempt: 2 }, 'upstream_interrupted'],
  ])('end with one error and without [DONE]: %o', (event, code) => {
    const { text, chunks } = framesOf([{ type: 'delta', text: 'Hi' }, event, completed]);
    const [, last = '', ...more] = text.split('\n\n').filter((part) => part !== '');
    expect(JSON.parse(last.slice('data: '.length))).toMatchObject({ error: { code } });
    expect([more, chunks.isOver]).toEqual([[], true]);
  });

  it('can be made of a result whose events are gone', () => {
    const result = { text: 'Hi', finish_reason: 'stop' } as const;
    const { chunks } = framesOf([]);
    expect(chunks.stored({ ...result, choices: [result, { ...result, text: 'Ho' }] })).toBe(
      frame(choice('Hi')) + frame(choice('Ho', 1)),
    );
  });
});

describe('a whole completion', () => {
  const record = {
    id: 'job_1',
    state: 'completed',
    tier: 'fast',
    createdAt: 1_790_000_000_500,
    usage,
    error: null,
    result: { text: 'Hi', finish_reason: 'stop' },
  } as JobRecord;

  it('has each choice with its probabilities', () => {
    const second = { text: 'a🦊', logprobs: logprobsOf('a', '🦊'), finish_reason: 'stop' } as const;
    const result = {
      ...second,
      choices: [{ text: 'Hi', finish_reason: 'length' as const }, second],
    };
    expect(completionAnswer({ ...record, result })).toEqual({
      id: 'cmpl-job_1',
      object: 'text_completion',
      created: 1_790_000_000,
      model: 'fast',
      choices: [
        { index: 0, text: 'Hi', logprobs: null, finish_reason: 'length' },
        {
          index: 1,
          text: 'a🦊',
          logprobs: inLists(['a', '🦊'], [0, 1]),
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
    [{ result: null }, 'internal_error'],
  ])('of a job that ended otherwise is its error: %o', (fields, code) => {
    expect(() => completionAnswer({ ...record, ...fields })).toThrow(new QarrError(code as never));
  });
});
