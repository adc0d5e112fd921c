import type { AttemptLog, ClaimedJob } from '@qarr/job-store';
import { ERROR_TABLE, finishReasonSchema, jobEventSchema } from '@qarr/router-core';
import type { ErrorCode, Usage } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import { conclude, tokensOf } from './conclusion.ts';
import type { Conclusion, Stop } from './conclusion.ts';
import {
  failureOfConnection,
  failureOfProtocol,
  failureOfStatus,
  failureOfTimeout,
} from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { EngineOutcome } from './engine.ts';

const JOB: ClaimedJob = {
  jobId: 'job_1',
  attempt: 1,
  tokensBefore: 0,
  failures: 0,
  spared: 0,
  traceparent: null,
  requestId: null,
  deaths: 0,
  isReset: false,
  queueWaitMs: 5,
  runLeftMs: 60_000,
  onInterrupt: 'continue',
  request: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 16, temperature: 0.7 },
};
const USAGE: Usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
const TIMINGS = { queue_wait_ms: 5, ttft_ms: 1, run_ms: 2 };
const TRIES_MAX = 3;

const whole: EngineOutcome = { usage: USAGE, ending: { kind: 'whole', finishReasons: ['stop'] } };
const aborted: EngineOutcome = { usage: null, ending: { kind: 'aborted' } };
const brokenOff = failureOfProtocol('The engine broke off.');
const busy = failureOfStatus(503, '');
const refused = failureOfStatus(400, '');
const gone = failureOfConnection('ECONNREFUSED', { reached: 'nobody' });

function failedBy(failure: EngineFailure): EngineOutcome {
  return { usage: null, ending: { kind: 'failed', failure } };
}

function answerOf(text: string): Answer {
  return {
    hasBegun: text !== '',
    add() {},
    result: ([finish_reason]) => ({ text, finish_reason, continued: 0 }),
    timings: () => TIMINGS,
  };
}

function concludeWith({
  job = {},
  outcome = whole,
  tokensMade = null,
  text = '',
  stop = null,
  isDraining = false,
  random = 0.5,
}: {
  job?: Partial<ClaimedJob>;
  outcome?: EngineOutcome;
  tokensMade?: number | null;
  text?: string;
  stop?: Stop | null;
  isDraining?: boolean;
  random?: number;
}): Conclusion {
  const answer = answerOf(text);
  const all = { ...JOB, ...job };
  return conclude({
    job: all,
    outcome,
    tokensMade,
    answer,
    stop,
    isDraining,
    random: () => random,
  });
}

/** What a conclusion comes to, in one line. */
function gist(conclusion: Conclusion): string {
  if (conclusion.kind === 'leave') return 'leave';
  if (conclusion.kind === 'again') {
    return `again, burns ${conclusion.burns}, in ${conclusion.delayMs} ms`;
  }
  const { event } = conclusion.ending;
  return 'error' in event ? `${event.type} ${event.error.code}` : event.type;
}

describe('a conclusion', () => {
  const fail = { onInterrupt: 'fail' } as const;
  const timeout = failureOfTimeout('idle', 1);
  const interrupted = failedBy(brokenOff);
  const table: [string, Parameters<typeof concludeWith>[0], string][] = [
    ['whole', { text: 'a' }, 'completed'],
    ['whole and empty', {}, 'completed'],
    [
      'broken off while its worker drains',
      { outcome: interrupted, text: 'a', isDraining: true, job: { failures: 2 } },
      'again, burns nothing, in 1 ms',
    ],
    [
      'refused while its worker drains',
      { outcome: failedBy(refused), isDraining: true },
      'failed upstream_rejected',
    ],
    [
      'broken off while its worker drains, and may not go on',
      { outcome: interrupted, text: 'a', isDraining: true, job: fail },
      'failed upstream_interrupted',
    ],
    ['whole, while its time ran out', { stop: 'time-up' }, 'completed'],
    ['whole, while the worker began to stop', { stop: 'hand-back' }, 'completed'],
    ['whole, but cancelled', { stop: 'cancel' }, 'cancelled'],
    ['whole, but superseded', { stop: 'superseded' }, 'leave'],
    ['cancelled', { outcome: aborted, stop: 'cancel' }, 'cancelled'],
    ['superseded', { outcome: aborted, stop: 'superseded' }, 'leave'],
    ['out of time', { outcome: aborted, stop: 'time-up' }, 'failed run_timeout'],
    ['handed back', { outcome: aborted, stop: 'hand-back' }, 'again, burns nothing, in 1 ms'],
    [
      'handed back with text',
      { outcome: aborted, stop: 'hand-back', text: 'a' },
      'again, burns nothing, in 1 ms',
    ],
    [
      'handed back, nothing sent',
      { outcome: aborted, stop: 'hand-back', job: fail },
      'again, burns nothing, in 1 ms',
    ],
    [
      'handed back, may not restart',
      { outcome: aborted, stop: 'hand-back', text: 'a', job: fail },
      'failed worker_lost',
    ],
    [
      'refused, while the worker began to stop',
      { outcome: failedBy(refused), stop: 'hand-back' },
      'failed upstream_rejected',
    ],
    ['broken', { outcome: interrupted }, 'again, burns try, in 500 ms'],
    ['broken with text', { outcome: interrupted, text: 'a' }, 'again, burns try, in 500 ms'],
    [
      'broken again',
      { outcome: interrupted, job: { failures: 1 } },
      'again, burns try, in 1000 ms',
    ],
    ['broken too often', { outcome: interrupted, job: { failures: 2 } }, 'failed upstream_error'],
    ['broken, nothing sent', { outcome: interrupted, job: fail }, 'again, burns try, in 500 ms'],
    [
      'broken, may not restart',
      { outcome: interrupted, text: 'a', job: fail },
      'failed upstream_interrupted',
    ],
    [
      'broken too often, with text',
      { outcome: interrupted, text: 'a', job: { failures: 2 } },
      'failed upstream_interrupted',
    ],
    ['too slow', { outcome: failedBy(timeout), job: { failures: 2 } }, 'failed upstream_timeout'],
    ['refused', { outcome: failedBy(refused) }, 'failed upstream_rejected'],
    [
      'refused for its length',
      { outcome: failedBy(failureOfStatus(400, 'maximum context length')) },
      'failed context_length_exceeded',
    ],
    ['refused our key', { outcome: failedBy(failureOfStatus(401, '')) }, 'failed upstream_error'],
    ['busy', { outcome: failedBy(busy) }, 'again, burns nothing, in 1000 ms'],
    [
      'busy, before the last try',
      { outcome: failedBy(busy), job: { failures: 2 } },
      'again, burns nothing, in 1000 ms',
    ],
    ['gone', { outcome: failedBy(gone), job: { failures: 2 } }, 'again, burns spare, in 1000 ms'],
    [
      'gone, once too often to be spared',
      { outcome: failedBy(gone), job: { spared: 2 } },
      'again, burns try, in 500 ms',
    ],
    [
      'busy, and says for how long',
      { outcome: failedBy(failureOfStatus(503, '', { retryAfter: '7' })) },
      'again, burns nothing, in 7000 ms',
    ],
    [
      'broken with text that cannot be carried on',
      { outcome: interrupted, text: 'a', job: { request: { ...JOB.request, n: 2 } } },
      'failed upstream_interrupted',
    ],
    [
      'broken with text that cannot be carried on, but may restart',
      {
        outcome: interrupted,
        text: 'a',
        job: { request: { ...JOB.request, n: 2 }, onInterrupt: 'restart' },
      },
      'again, burns try, in 500 ms',
    ],
  ];

  it.each(table)('%s', (_name, given, expected) => {
    expect(gist(concludeWith(given))).toBe(expected);
  });

  it('carries the answer, the usage and the timings', () => {
    expect(concludeWith({ text: 'Hello' })).toEqual({
      kind: 'finish',
      ending: {
        event: {
          type: 'completed',
          finish_reason: 'stop',
          usage: USAGE,
          timings: TIMINGS,
          continued: 0,
        },
        result: { text: 'Hello', finish_reason: 'stop', continued: 0 },
      },
    });
  });

  it('of a cancelled job says how many tokens were made, where that is known', () => {
    expect(concludeWith({ outcome: aborted, tokensMade: 7, stop: 'cancel' })).toMatchObject({
      ending: { event: { ran: true, tokens: 7, usage: null } },
    });
    expect(concludeWith({ outcome: aborted, stop: 'cancel' })).toMatchObject({
      ending: { event: { ran: true, tokens: null } },
    });
  });
});

describe('the tokens that a job has made', () => {
  const SO_FAR = { text: 'a', tokenIds: [1], hasMore: false, continued: 1 };
  const log: Pick<AttemptLog, 'tokensMade'> = { tokensMade: 9 };
  const counted = { ...aborted, usage: USAGE };
  it.each([
    ['counted by the engine', { tokensBefore: 0 }, null, counted, 2],
    ['counted, after another attempt', { tokensBefore: 5 }, null, counted, 7],
    ['counted, after one of which nobody knows', { tokensBefore: null }, null, counted, null],
    ['counted, of an answer that is carried on', { tokensBefore: 1 }, SO_FAR, counted, 2],
    ['not counted', { tokensBefore: 5 }, null, aborted, 9],
  ] as const)('%s', (_name, job, soFar, outcome, tokens) => {
    expect(tokensOf({ job: { ...JOB, ...job }, soFar, outcome, attemptLog: log })).toBe(tokens);
  });
});

describe('whatever happened', () => {
  const codes = Object.keys(ERROR_TABLE) as ErrorCode[];
  const failure: fc.Arbitrary<EngineFailure> = fc.oneof(
    fc.integer({ min: 300, max: 599 }).map((status) => failureOfStatus(status, '')),
    fc.constantFrom(brokenOff, gone, failureOfTimeout('headers', 1)),
    fc.record({
      code: fc.constantFrom(...codes),
      message: fc.string(),
      brokeOff: fc.boolean(),
      retryable: fc.boolean(),
      burns: fc.constantFrom('try', 'spare', 'nothing'),
      retryAfterMs: fc.option(fc.integer({ min: 0, max: 30_000 })),
      engine: fc.constantFrom('gone', 'suspect', 'busy', 'fine'),
    }),
  );
  const given = fc.record({
    job: fc.record({
      failures: fc.integer({ min: 0, max: TRIES_MAX - 1 }),
      spared: fc.integer({ min: 0, max: 3 }),
      onInterrupt: fc.constantFrom('continue', 'fail', 'restart'),
    }),
    outcome: fc.record({
      usage: fc.constantFrom(USAGE, null),
      ending: fc.oneof(
        fc.record({
          kind: fc.constant('whole' as const),
          finishReasons: fc.tuple(fc.constantFrom(...finishReasonSchema.options)),
        }),
        fc.record({ kind: fc.constant('failed' as const), failure }),
        fc.constant({ kind: 'aborted' as const }),
      ),
    }),
    text: fc.constantFrom('', 'text'),
    stop: fc.constantFrom<(Stop | null)[]>(null, 'cancel', 'superseded', 'time-up', 'hand-back'),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });
  type Given = typeof given extends fc.Arbitrary<infer Value> ? Value : never;

  function holds(property: (conclusion: Conclusion, given: Given) => void): void {
    fc.assert(
      fc.property(given, (values) => property(concludeWith(values), values)),
      { numRuns: 2_000 },
    );
  }

  it('only a whole answer completes a job', () => {
    holds((conclusion, { outcome }) => {
      if (gist(conclusion) === 'completed') expect(outcome.ending.kind).toBe('whole');
    });
  });

  it('a superseded attempt leaves the job alone, and no other does', () => {
    holds((conclusion, { stop }) => {
      expect(conclusion.kind === 'leave').toBe(stop === 'superseded');
    });
  });

  it('a cancelled job ends cancelled', () => {
    holds((conclusion, { stop }) => {
      if (stop === 'cancel') expect(gist(conclusion)).toBe('cancelled');
    });
  });

  it('the failures of a job that is tried again stay below the limit', () => {
    holds((conclusion, { job }) => {
      if (conclusion.kind !== 'again') return;
      const failures = job.failures + (conclusion.burns === 'try' ? 1 : 0);
      expect(failures).toBeLessThan(TRIES_MAX);
      if (conclusion.burns === 'spare') expect(job.spared).toBeLessThan(2);
      expect(conclusion.delayMs).toBeGreaterThanOrEqual(0);
      expect(conclusion.delayMs).toBeLessThanOrEqual(30_000);
    });
  });

  it('what must not be tried again is not', () => {
    holds((conclusion, { outcome: { ending } }) => {
      if (ending.kind === 'failed' && !ending.failure.retryable) {
        expect(conclusion.kind).not.toBe('again');
      }
    });
  });

  it('an answer that may not restart is not tried again after its first word', () => {
    holds((conclusion, { job, text }) => {
      if (job.onInterrupt === 'fail' && text !== '') expect(conclusion.kind).not.toBe('again');
    });
  });

  it('an ending is one that readers understand', () => {
    holds((conclusion) => {
      if (conclusion.kind !== 'finish') return;
      const { event } = conclusion.ending;
      expect(jobEventSchema.parse(event)).toEqual(event);
    });
  });

  it.each([400, 401, 403, 404, 413, 422])('a %i is never tried again', (status) => {
    expect(gist(concludeWith({ outcome: failedBy(failureOfStatus(status, '')) }))).toMatch(
      /^failed/,
    );
  });
});
