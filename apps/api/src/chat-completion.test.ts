import { QarrError, jobError } from '@qarr/router-core';
import type { JobRecord, JobResult, ToolCall } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { chatCompletion } from './chat-completion.ts';

const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
const timings = { queue_wait_ms: 1, ttft_ms: 2, run_ms: 3 };
const call: ToolCall = {
  id: 'call_1',
  type: 'function',
  function: { name: 'f', arguments: '{"a":1}' },
};
const logprobs = { content: [{ token: 'Hi', logprob: -0.5, bytes: null, top_logprobs: [] }] };

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
    rerouted: null,
    cost: 1,
    onInterrupt: 'restart',
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
    tokens: null,
  };

  it('has the shape of OpenAI, with the time in seconds', () => {
    expect(chatCompletion(record, { serviceTier: 'default' })).toEqual({
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
      service_tier: 'default',
      system_fingerprint: null,
    });
  });

  const choicesOf = (result: JobResult) =>
    chatCompletion({ ...record, result }, { serviceTier: 'flex' }).choices;

  it('has no content where there are only calls of tools', () => {
    const called: JobResult = { text: '', tool_calls: [call], finish_reason: 'tool_calls' };
    expect(choicesOf(called)).toMatchObject([
      { message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' },
    ]);
    expect(choicesOf({ ...called, text: 'Let me see.' })).toMatchObject([
      { message: { content: 'Let me see.', tool_calls: [call] } },
    ]);
    expect(choicesOf({ text: '', tool_calls: [], finish_reason: 'stop' })).toMatchObject([
      { message: { content: '' } },
    ]);
  });

  it('has the probabilities where there are some', () => {
    const [choice] = choicesOf({ text: 'Hi', logprobs, finish_reason: 'stop' });
    expect(choice?.logprobs).toEqual({ content: logprobs.content, refusal: null });
  });

  it('has every choice, in its place', () => {
    const first: JobResult = { text: 'Hi', logprobs, finish_reason: 'stop' };
    const second: JobResult = { text: '', tool_calls: [call], finish_reason: 'tool_calls' };
    const choices = choicesOf({ ...first, choices: [first, second] });
    expect(choices).toMatchObject([
      { index: 0, message: { content: 'Hi' }, logprobs: {}, finish_reason: 'stop' },
      { index: 1, message: { content: null, tool_calls: [call] }, finish_reason: 'tool_calls' },
    ]);
    expect(choices).toHaveLength(2);
  });

  it.each<[Partial<JobRecord>, string]>([
    [{ state: 'cancelled' }, 'job_cancelled'],
    [{ state: 'failed', error: jobError('upstream_error') }, 'upstream_error'],
    [{ state: 'expired', error: jobError('queue_timeout') }, 'queue_timeout'],
    [{ result: null }, 'internal_error'],
  ])('of a job that ended otherwise is its error: %o', (fields, code) => {
    const shown = () => chatCompletion({ ...record, ...fields }, { serviceTier: 'default' });
    expect(shown).toThrow(new QarrError(code as never));
  });
});
