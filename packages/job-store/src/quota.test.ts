import { jobError } from '@qarr/router-core';
import type { ErrorCode, TerminalEvent } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { tokensUsed } from './quota.ts';

const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const TIMINGS = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 2 };
const NOTHING = { usage: null, timings: null };

function failed(code: ErrorCode, usage: typeof USAGE | null = null): TerminalEvent {
  return { type: 'failed', error: jobError(code), usage, timings: null };
}

function completed(usage: typeof USAGE | null): TerminalEvent {
  return { type: 'completed', finish_reason: 'stop', usage, timings: TIMINGS };
}

function cancelled(tokens: number | null): TerminalEvent {
  return { type: 'cancelled', ran: true, tokens, ...NOTHING };
}

/** What a job has used whose prompt has about 100 tokens; null for all that was taken. */
function used(
  final: TerminalEvent | null,
  { attempt = 1, tokensMade = null as number | null } = {},
) {
  return tokensUsed({ attempt, final, tokensMade, promptTokens: 100 });
}

describe('what a job has used of its quota', () => {
  it('is what its engine has counted', () => {
    expect(used(completed(USAGE))).toBe(5);
    expect(used(failed('upstream_interrupted', USAGE))).toBe(5);
  });

  it('is its prompt and what was made, where only that was counted', () => {
    expect(used(cancelled(7))).toBe(107);
    expect(used(cancelled(0))).toBe(100);
    expect(used(failed('upstream_interrupted'), { tokensMade: 7 })).toBe(107);
    expect(used(failed('run_timeout'), { tokensMade: 0 })).toBe(100);
  });

  it('is all that was taken where it ran and nobody has counted', () => {
    expect(used(completed(null), { tokensMade: 7 })).toBeNull();
    expect(used(cancelled(null), { tokensMade: 7 })).toBeNull();
    expect(used(failed('upstream_interrupted'))).toBeNull();
    expect(used(failed('run_timeout'))).toBeNull();
    expect(used(null, { tokensMade: 7 })).toBeNull();
  });

  it('is nothing where it never ran, or where its engine failed before the first token', () => {
    expect(used(cancelled(null), { attempt: 0 })).toBe(0);
    expect(used(null, { attempt: 0 })).toBe(0);
    expect(used(failed('upstream_error'), { tokensMade: 0 })).toBe(0);
  });
});
