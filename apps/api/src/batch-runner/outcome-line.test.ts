import { QarrError, parseLineBody } from '@qarr/router-core';
import type { BatchEndpoint, JobRecord } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { responseRecord } from '../responses/response-for-test.ts';
import { askedByLine } from './line-job.ts';
import { outcomeOfJob, outcomeOfRefusal, unanswered } from './outcome-line.ts';

const EXPIRES_AT = 1_790_086_400_000;
const of = (endpoint: BatchEndpoint = '/v1/chat/completions') => ({
  batch: { id: 'batch_0a1b', endpoint, expiresAt: EXPIRES_AT },
  line: 7,
  customId: 'r "7"',
});
const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
const timings = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 2_000 };
const { response: _response, ...chatJob } = responseRecord();

function completed(fields: Partial<JobRecord> = {}): JobRecord {
  const result = { text: 'Hi\u2028 there\n', finish_reason: 'stop' as const };
  const ended = { state: 'completed' as const, result, usage, timings };
  return { ...chatJob, id: 'job_0a1b_7', class: 'batch', ...ended, ...fields };
}
const failed = (
  state: JobRecord['state'],
  code: 'upstream_error' | 'queue_timeout' | 'run_timeout',
) =>
  completed({
    state,
    result: null,
    usage: null,
    error: { code, message: 'Said so.', retryable: true },
  });
const end = (job: JobRecord, ending: Parameters<typeof outcomeOfJob>[2]['ending'] = null) => {
  const { text, ...outcome } = outcomeOfJob(of(), job, { ending });
  return { ...outcome, wire: JSON.parse(text) as Record<string, unknown> };
};

describe('a line whose job has completed', () => {
  it('is what its route would have answered, on one line', () => {
    const { text, ...outcome } = outcomeOfJob(of(), completed(), { ending: 'batch_cancelled' });
    expect(text).not.toContain('\n');
    expect(outcome).toEqual({
      line: 7,
      isCompleted: true,
      usage: { promptTokens: 3, cachedTokens: 0, completionTokens: 4, reasoningTokens: 0 },
    });
    expect(JSON.parse(text)).toEqual({
      id: 'batch_req_0a1b_7',
      custom_id: 'r "7"',
      response: {
        status_code: 200,
        request_id: 'job_0a1b_7',
        body: expect.objectContaining({
          id: 'chatcmpl-job_0a1b_7',
          object: 'chat.completion',
          model: 'fast',
          usage,
          choices: [
            expect.objectContaining({
              message: { role: 'assistant', content: 'Hi\u2028 there\n', refusal: null },
            }),
          ],
        }),
      },
      error: null,
      qarr_tier: 'fast',
    });
  });

  it('is a completion, or a response that is not kept', () => {
    const raw = completed({ request: { prompt: 'Hi', max_tokens: 16, temperature: 0.7 } });
    expect(
      JSON.parse(outcomeOfJob(of('/v1/completions'), raw, { ending: null }).text),
    ).toMatchObject({
      response: { body: { object: 'text_completion', choices: [{ text: 'Hi\u2028 there\n' }] } },
    });

    const reading = parseLineBody('/v1/responses', {
      input: 'Hi',
      instructions: 'Be brief',
      store: true,
    });
    if (reading.kind !== 'request') throw new Error('refused');
    const { body, options } = askedByLine(reading.request);
    expect(body).toMatchObject({ messages: [{ role: 'system' }, { role: 'user', content: 'Hi' }] });
    const job = completed({ response: options.response });
    expect(JSON.parse(outcomeOfJob(of('/v1/responses'), job, { ending: null }).text)).toMatchObject(
      {
        response: {
          status_code: 200,
          body: {
            object: 'response',
            status: 'completed',
            store: false,
            background: false,
            output: [{ content: [{ text: 'Hi\u2028 there\n' }] }],
            usage: { input_tokens: 3, output_tokens: 4, total_tokens: 7 },
          },
        },
      },
    );
  });
});

describe('a line whose job has not completed', () => {
  it('has the status and the error that its route would have answered', () => {
    expect(end(failed('failed', 'upstream_error'))).toMatchObject({
      isCompleted: false,
      usage: { promptTokens: 0 },
      wire: {
        response: {
          status_code: 502,
          request_id: 'job_0a1b_7',
          body: {
            error: {
              code: 'upstream_error',
              type: 'server_error',
              param: null,
              message: 'Said so.',
            },
          },
        },
        error: null,
        qarr_tier: 'fast',
      },
    });
    expect(end(completed({ state: 'cancelled', result: null })).wire).toMatchObject({
      response: { status_code: 400, body: { error: { code: 'job_cancelled' } } },
      error: null,
    });
    expect(end(failed('expired', 'run_timeout'), 'batch_expired').wire).toMatchObject({
      response: { status_code: 504, body: { error: { code: 'run_timeout' } } },
    });
  });

  it('was not executed where its batch has ended it', () => {
    const cancelled = completed({ state: 'cancelled', result: null });
    for (const ending of ['batch_expired', 'batch_cancelled'] as const) {
      expect(end(cancelled, ending)).toMatchObject({
        isCompleted: false,
        wire: { response: null, error: { code: ending }, qarr_tier: 'fast' },
      });
    }
  });

  it('has expired with its batch, or before where it asked for less', () => {
    const late = { ...failed('expired', 'queue_timeout'), queueDeadline: EXPIRES_AT - 400 };
    expect(end(late).wire).toMatchObject({ response: null, error: { code: 'batch_expired' } });
    const early = { ...late, queueDeadline: EXPIRES_AT - 60_000 };
    expect(end(early).wire).toMatchObject({
      response: { status_code: 504, body: { error: { code: 'queue_timeout' } } },
    });
  });
});

it('a line that became no job says why', () => {
  const error = new QarrError('unknown_parameter', { param: 'foo', message: 'There is no foo.' });
  expect(JSON.parse(outcomeOfRefusal(of(), error).text)).toMatchObject({
    response: { status_code: 400, body: { error: { code: 'unknown_parameter', param: 'foo' } } },
    error: null,
    qarr_tier: null,
  });
  const { text, isCompleted } = unanswered(of(), 'job_deleted', null);
  expect(isCompleted).toBe(false);
  expect(JSON.parse(text)).toMatchObject({ response: null, error: { code: 'job_deleted' } });
});
