import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EngineOutcome } from '../engine.ts';
import {
  failureOfConnection,
  failureOfEnding,
  failureOfStatus,
  failureOfTimeout,
} from '../engine-failure.ts';
import type { EngineFailure } from '../engine-failure.ts';
import { callOutcomeOf, doubtOf, sparedOutcome } from './doubt.ts';

const failed = (failure: EngineFailure): EngineOutcome => ({
  usage: null,
  ending: { kind: 'failed', failure },
});
const whole: EngineOutcome = { usage: null, ending: { kind: 'whole', finishReasons: ['stop'] } };
const aborted: EngineOutcome = { usage: null, ending: { kind: 'aborted' } };

describe('what a breaker is told of a job', () => {
  it.each<[string, EngineOutcome, string]>([
    ['was answered', whole, 'succeeded'],
    ['was broken off by us', aborted, 'neutral'],
    ['found nobody', failed(failureOfConnection('ECONNREFUSED', { reached: 'nobody' })), 'failed'],
    ['was reset', failed(failureOfConnection('ECONNRESET', { reached: 'no answer' })), 'failed'],
    ['timed out', failed(failureOfTimeout('idle', 1)), 'failed'],
    ['ended without a reason', failed(failureOfEnding(null)), 'failed'],
    ['met 500', failed(failureOfStatus(500, '')), 'failed'],
    ['met 502', failed(failureOfStatus(502, '')), 'failed'],
  ])('that %s', (_name, outcome, expected) => {
    expect(callOutcomeOf(outcome)).toBe(expected);
  });

  it('is never a failure for any 4xx, nor for an engine that is too busy', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 400, max: 499 }), fc.constant(503)), (status) => {
        const outcome = failed(failureOfStatus(status, ''));
        expect(callOutcomeOf(outcome)).toBe('neutral');
        expect(sparedOutcome(outcome)).toBe(outcome);
        if (status === 429 || status === 503) expect(doubtOf(outcome)).toBeNull();
      }),
    );
  });
});

describe('a job that was a probe', () => {
  it('is spared a try where its engine is broken', () => {
    const { ending } = sparedOutcome(failed(failureOfStatus(500, '')));
    expect(ending).toMatchObject({ kind: 'failed', failure: { burns: 'spare', retryable: true } });
  });

  it('is what it is otherwise', () => {
    for (const outcome of [whole, aborted, failed(failureOfStatus(400, ''))]) {
      expect(sparedOutcome(outcome)).toBe(outcome);
    }
  });
});
