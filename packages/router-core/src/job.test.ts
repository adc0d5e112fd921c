import { describe, expect, it } from 'vitest';
import { JOB_TRANSITIONS, canTransition, isTerminalState, jobRecordSchema } from './job.ts';
import type { JobRecord, JobState } from './job.ts';

const states = Object.keys(JOB_TRANSITIONS) as JobState[];
const terminal = ['completed', 'failed', 'cancelled', 'expired'] as const;

describe('the life of a job', () => {
  it.each(terminal)('ends with %s', (state) => {
    expect(isTerminalState(state)).toBe(true);
    expect(states.filter((next) => canTransition(state, next))).toEqual([]);
  });

  it('goes on in the other states', () => {
    expect(states.filter((state) => !isTerminalState(state))).toEqual(['queued', 'running']);
  });

  it('can reach every state from queued', () => {
    const reached = new Set<JobState>(['queued']);
    for (const state of reached) {
      for (const next of JOB_TRANSITIONS[state]) reached.add(next);
    }
    expect([...reached].toSorted()).toEqual(states.toSorted());
  });

  it('completes only what ran, and goes back to the queue only from there', () => {
    expect(before('completed')).toEqual(['running']);
    expect(before('queued')).toEqual(['running']);
    expect(before('running')).toEqual(['queued']);
  });
});

describe('the record of a job', () => {
  const queued: JobRecord = {
    id: 'job_1',
    state: 'queued',
    owner: 'anonymous',
    class: 'standard',
    tier: 'fast',
    requestedTier: null,
    reasons: ['default'],
    epoch: 1,
    attempt: 0,
    seq: 1,
    fallback: 'up',
    rerouted: null,
    cost: 1,
    onInterrupt: 'continue',
    request: {
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 512,
      temperature: 0.7,
      stop: ['x'],
    },
    droppedMessages: 0,
    metadata: { a: 'b' },
    createdAt: 1_790_000_000_000,
    startedAt: null,
    finishedAt: null,
    queueDeadline: 1_790_000_300_000,
    runTimeoutMs: 60_000,
    cancelRequested: false,
    result: null,
    usage: null,
    timings: null,
    error: null,
    tokens: null,
  };
  const completed: JobRecord = {
    ...queued,
    state: 'completed',
    requestedTier: 'fast',
    attempt: 1,
    seq: 4,
    startedAt: 1_790_000_000_010,
    finishedAt: 1_790_000_000_900,
    result: { text: 'Hello', reasoning: 'greet', finish_reason: 'stop' },
    usage: { prompt_tokens: 9, completion_tokens: 1, total_tokens: 10 },
    timings: { queue_wait_ms: 10, ttft_ms: 20.5, run_ms: 890 },
  };
  const failed: JobRecord = {
    ...queued,
    state: 'failed',
    error: { code: 'poison', message: 'Given up.', retryable: false },
  };

  it.each([queued, completed, failed])('survives being written and read: $state', (record) => {
    expect(jobRecordSchema.parse(JSON.parse(JSON.stringify(record)))).toStrictEqual(record);
  });

  it.each<[string, Partial<Record<keyof JobRecord, unknown>>]>([
    ['a state that does not exist', { state: 'paused' }],
    ['numbers that are none', { createdAt: Number.NaN }],
    ['a number of events below the first', { seq: 0 }],
    ['an epoch before the first', { epoch: 0 }],
    ['a request without messages', { request: { ...queued.request, messages: [] } }],
    ['an error outside the table', { error: { code: 'x', message: '', retryable: true } }],
  ])('is refused with %s', (_name, changes) => {
    expect(jobRecordSchema.safeParse({ ...queued, ...changes }).success).toBe(false);
  });
});

function before(next: JobState): JobState[] {
  return states.filter((state) => canTransition(state, next));
}
