import type {
  AttemptLog,
  Claim,
  ClaimedJob,
  Ending,
  QueueEntry,
  StopReason,
  WriteOutcome,
} from '@qarr/job-store';
import { createLogger } from '@qarr/process';
import { ERROR_TABLE, finishReasonSchema, jobEventSchema } from '@qarr/router-core';
import type { ErrorCode, Usage } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Answer } from './answer.ts';
import {
  failureOfConnection,
  failureOfProtocol,
  failureOfStatus,
  failureOfTimeout,
} from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { EngineOutcome } from './engine.ts';
import { createWorkerMetrics } from './metrics.ts';
import { conclude, processJob } from './process-job.ts';
import type { Conclusion, Stop } from './process-job.ts';

const JOB: ClaimedJob = {
  jobId: 'job_1',
  attempt: 1,
  failures: 0,
  spared: 0,
  traceparent: null,
  queueWaitMs: 5,
  runLeftMs: 60_000,
  onInterrupt: 'continue',
  request: { messages: [{ role: 'user', content: 'Hi' }], max_tokens: 16, temperature: 0.7 },
};
const ENTRY: QueueEntry = { jobId: 'job_1', epoch: 1, class: 'standard' };
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
  text = '',
  stop = null,
  random = 0.5,
}: {
  job?: Partial<ClaimedJob>;
  outcome?: EngineOutcome;
  text?: string;
  stop?: Stop | null;
  random?: number;
}): Conclusion {
  const answer = answerOf(text);
  return conclude({ job: { ...JOB, ...job }, outcome, answer, stop, random: () => random });
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

  it('of a cancelled job says how many tokens were made, where the engine said so', () => {
    const outcome = { ...aborted, usage: USAGE };
    expect(concludeWith({ outcome, stop: 'cancel' })).toMatchObject({
      ending: { event: { ran: true, tokens: 2, usage: USAGE } },
    });
    expect(concludeWith({ outcome: aborted, stop: 'cancel' })).toMatchObject({
      ending: { event: { ran: true, tokens: null, usage: null } },
    });
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
      retryable: fc.boolean(),
      burns: fc.constantFrom('try', 'spare', 'nothing'),
      retryAfterMs: fc.option(fc.integer({ min: 0, max: 30_000 })),
      engine: fc.constantFrom('gone', 'suspect', 'fine'),
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

/** The log of one attempt, in memory. */
function createFakeLog(answers: WriteOutcome[]) {
  const writes: string[] = [];
  let ending: Ending | null = null;
  let onStop: ((reason: StopReason) => void) | null = null;
  const log: AttemptLog = {
    append: ({ text }) => void writes.push(`append ${text}`),
    async finish(given) {
      ending = given;
      writes.push(`finish ${given.event.type}`);
      return answers.shift() ?? 'ok';
    },
    async requeue({ burns }) {
      writes.push(`requeue ${burns}`);
      return answers.shift() ?? 'ok';
    },
  };
  return {
    writes,
    log,
    open(given: (reason: StopReason) => void) {
      onStop = given;
      return log;
    },
    stop: (reason: StopReason) => onStop?.(reason),
    get ending() {
      return ending;
    },
  };
}

/** An engine in memory: the test says what it sends; it ends when it is aborted. */
function createFakeEngine() {
  const started = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<EngineOutcome>();
  let send: ((text: string) => void) | null = null;
  return {
    started: started.promise,
    send: (text: string) => send?.(text),
    end: ended.resolve,
    run(
      _job: ClaimedJob,
      {
        signal,
        onDelta,
      }: { signal: AbortSignal; onDelta: (delta: { text: string; reasoning: string }) => void },
    ): Promise<EngineOutcome> {
      send = (text) => onDelta({ text, reasoning: '' });
      if (signal.aborted) ended.resolve(aborted);
      signal.addEventListener('abort', () => ended.resolve(aborted), { once: true });
      started.resolve();
      return ended.promise;
    },
  };
}

function startAttempt({
  job = {},
  answers = [],
  drop,
  running = new Map<string, (stop: Stop) => void>(),
  lockLost = new AbortController(),
}: {
  job?: Partial<ClaimedJob>;
  /** What the store answers to finish and requeue, in order; 'ok' when there is no more. */
  answers?: WriteOutcome[];
  drop?: Extract<Claim, { kind: 'drop' }>['reason'];
  running?: Map<string, (stop: Stop) => void>;
  lockLost?: AbortController;
} = {}) {
  const log = createFakeLog(answers);
  const engine = createFakeEngine();
  const metrics = createWorkerMetrics({ tier: 'fast', slots: () => ({ running: 0, free: 1 }) });
  const delivery = processJob(
    ENTRY,
    { token: 't', signal: lockLost.signal },
    {
      worker: 'w',
      claim: async () =>
        drop === undefined
          ? { kind: 'run', job: { ...JOB, ...job }, openLog: log.open, readSoFar: async () => null }
          : { kind: 'drop', reason: drop },
      run: engine.run,
      running,
      random: () => 0.5,
      log: createLogger({ name: 'test', level: 'silent' }),
      metrics,
    },
  );
  return {
    log,
    engine,
    running,
    lockLost,
    delivery,
    metrics,
    tell: (stop: Stop) => running.get('job_1')?.(stop),
  };
}

async function startedAttempt(options: Parameters<typeof startAttempt>[0] = {}) {
  const attempt = startAttempt(options);
  await attempt.engine.started;
  return attempt;
}

describe('processing a job', () => {
  it('publishes the answer and completes the job', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.engine.send('lo');
    attempt.engine.end(whole);
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['append Hel', 'append lo', 'finish completed']);
    expect(attempt.log.ending?.result).toEqual({
      text: 'Hello',
      finish_reason: 'stop',
      continued: 0,
    });
    expect(attempt.running.size).toBe(0);
    const metrics = await attempt.metrics.registry.metrics();
    expect(metrics).toContain(
      'qarr_jobs_total{tier="fast",class="standard",outcome="completed"} 1',
    );
    expect(metrics).toContain('qarr_tokens_total{tier="fast",kind="completion"} 2');
  });

  it('is over when the job is', async () => {
    const { delivery, log, running } = startAttempt({ drop: 'completed' });
    expect(await delivery).toEqual({ kind: 'done' });
    expect(log.writes).toEqual([]);
    expect(running.size).toBe(0);
  });

  it('cancels before the first word', async () => {
    const attempt = await startedAttempt();
    attempt.tell('cancel');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['finish cancelled']);
    expect(attempt.log.ending?.event).toMatchObject({ ran: true, timings: { ttft_ms: null } });
  });

  it('cancels in the middle, told by a write', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.log.stop('cancel');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['append Hel', 'finish cancelled']);
  });

  it('cancels when that was asked for before its end was written', async () => {
    const attempt = await startedAttempt({ answers: ['cancel'] });
    attempt.engine.end(whole);
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['finish completed', 'finish cancelled']);
    expect(attempt.log.ending?.event).toMatchObject({ tokens: 2, usage: USAGE });
    const metrics = await attempt.metrics.registry.metrics();
    expect(metrics).not.toContain('outcome="completed"');
  });

  it('cancels when that was asked for before it was handed back', async () => {
    const attempt = await startedAttempt({ answers: ['cancel'] });
    attempt.tell('hand-back');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['requeue nothing', 'finish cancelled']);
  });

  it('aborts the engine and writes nothing when another attempt has taken over', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.log.stop('superseded');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['append Hel']);
    expect(attempt.running.size).toBe(0);
  });

  it('does the same when its lock is lost', async () => {
    const attempt = await startedAttempt();
    attempt.lockLost.abort();
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual([]);
  });

  it('does the same when its lock was lost before it began', async () => {
    const lockLost = new AbortController();
    lockLost.abort();
    const attempt = await startedAttempt({ lockLost });
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual([]);
  });

  it.each(['finish', 'requeue'])('is over when its %s is refused as superseded', async (write) => {
    const attempt = await startedAttempt({ answers: ['superseded'] });
    attempt.engine.end(write === 'finish' ? whole : failedBy(brokenOff));
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toHaveLength(1);
    expect(await attempt.metrics.registry.metrics()).not.toContain('outcome=');
  });

  it('fails a job whose time is up', async () => {
    const attempt = await startedAttempt({ job: { runLeftMs: 1 } });
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.ending?.event).toMatchObject({ error: { code: 'run_timeout' } });
  });

  it('runs a job that may run longer than timers can wait', async () => {
    const attempt = await startedAttempt({ job: { runLeftMs: 2 ** 31 + 1 } });
    // A timer that cannot wait so long fires in the next millisecond.
    await new Promise((resolve) => setTimeout(resolve, 5));
    attempt.engine.end(whole);
    await attempt.delivery;
    expect(attempt.log.writes).toEqual(['finish completed']);
  });

  it('hands a job back, nothing burnt', async () => {
    const attempt = await startedAttempt();
    attempt.tell('hand-back');
    expect(await attempt.delivery).toEqual({ kind: 'again', delayMs: 1 });
    expect(attempt.log.writes).toEqual(['requeue nothing']);
  });

  it('goes by the first reason to stop', async () => {
    const attempt = await startedAttempt();
    attempt.tell('cancel');
    attempt.tell('hand-back');
    attempt.log.stop('superseded');
    await attempt.delivery;
    expect(attempt.log.writes).toEqual(['finish cancelled']);
  });

  it('tries again what broke, later', async () => {
    const attempt = await startedAttempt();
    attempt.engine.end(failedBy(brokenOff));
    expect(await attempt.delivery).toEqual({ kind: 'again', delayMs: 500 });
    expect(attempt.log.writes).toEqual(['requeue try']);
  });

  it('is spared a try when the engine is gone', async () => {
    const attempt = await startedAttempt();
    attempt.engine.end(failedBy(gone));
    expect(await attempt.delivery).toEqual({ kind: 'again', delayMs: 1_000 });
    expect(attempt.log.writes).toEqual(['requeue spare']);
  });

  it('never takes less than no time, whatever the clock of Redis did', async () => {
    const attempt = await startedAttempt({ job: { queueWaitMs: -40 } });
    attempt.engine.send('a');
    attempt.engine.end(whole);
    await attempt.delivery;
    const event = attempt.log.ending?.event;
    expect(jobEventSchema.parse(event)).toMatchObject({ timings: { queue_wait_ms: 0 } });
  });

  it('can still be told to stop when an older attempt of it ends here', async () => {
    const running = new Map<string, (stop: Stop) => void>();
    const older = await startedAttempt({ running });
    const newer = await startedAttempt({ running, job: { attempt: 2 } });
    older.log.stop('superseded');
    await older.delivery;
    newer.tell('cancel');
    await newer.delivery;
    expect(newer.log.writes).toEqual(['finish cancelled']);
    expect(running.size).toBe(0);
  });
});
