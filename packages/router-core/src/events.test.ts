import { describe, expect, it } from 'vitest';
import { ERROR_TABLE } from './errors.ts';
import { isTerminalType, jobError, jobEventSchema } from './events.ts';
import type { JobEvent } from './events.ts';
import { JOB_TRANSITIONS, isTerminalState } from './job.ts';
import type { JobState } from './job.ts';

const usage = { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 };
const timings = { queue_wait_ms: 1, ttft_ms: null, run_ms: 2.5 };
const error = jobError('upstream_error');

const events: JobEvent[] = [
  { type: 'queued', tier: 'fast', route: ['code'], position: 0, estimated_wait_ms: null },
  { type: 'started', tier: 'fast', worker: 'w1', attempt: 1 },
  { type: 'delta', text: 'Hello', reasoning: 'greet' },
  { type: 'delta', text: '' },
  { type: 'reset', attempt: 2 },
  { type: 'completed', finish_reason: 'length', usage, timings },
  { type: 'failed', error, usage: null, timings: null },
  { type: 'cancelled', ran: true, tokens: 3, usage: null, timings },
  { type: 'expired', error, usage: null, timings: null },
];

describe('an event', () => {
  it.each(events)('survives being written and read: $type', (event) => {
    expect(jobEventSchema.parse(JSON.parse(JSON.stringify(event)))).toStrictEqual(event);
  });

  it.each([
    ['an unknown type', { type: 'paused' }],
    ['no type', { text: 'x' }],
    ['a type of another case', { type: 'Delta', text: 'x' }],
    ['a delta without text', { type: 'delta', reasoning: 'x' }],
    ['an attempt before the first', { type: 'started', tier: 'f', worker: 'w', attempt: 0 }],
    [
      'a reason to finish that is a failure',
      { type: 'completed', finish_reason: 'abort', usage, timings },
    ],
    [
      'an error outside the table',
      { type: 'failed', error: { ...error, code: 'x' }, usage, timings },
    ],
    ['a text that is not an object', 'delta'],
  ])('is refused with %s', (_name, event) => {
    expect(jobEventSchema.safeParse(event).success).toBe(false);
  });

  it('is terminal exactly where it bears the name of a terminal state', () => {
    const types = events.map(({ type }) => type);
    const ends = (Object.keys(JOB_TRANSITIONS) as JobState[]).filter(isTerminalState);
    expect(types.filter(isTerminalType).toSorted()).toEqual(ends.toSorted());
  });
});

describe('the error of a job', () => {
  it("says what the table says, and the caller's words where there are some", () => {
    const { message, retryable } = ERROR_TABLE.worker_lost;
    expect(jobError('worker_lost')).toEqual({ code: 'worker_lost', message, retryable });
    expect(jobError('worker_lost', 'Gone.').message).toBe('Gone.');
  });
});
