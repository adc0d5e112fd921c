import type {
  AttemptLog,
  Claim,
  ClaimedJob,
  Ending,
  QueueEntry,
  StopReason,
  WriteOutcome,
} from '@qarr/job-store';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { NO_TRACING, createLogger } from '@qarr/process';
import { jobEventSchema } from '@qarr/router-core';
import type { Usage } from '@qarr/router-core';
import { describe, expect, it, vi } from 'vitest';
import type { Stop } from './conclusion.ts';
import { failureOfConnection, failureOfProtocol, failureOfStatus } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { EngineOutcome } from './engine.ts';
import { createWorkerMetrics } from './metrics.ts';
import { processJob } from './process-job.ts';
import type { RunningAttempt } from './process-job.ts';
import { createRetries } from './retries.ts';
import type { Retries } from './retries.ts';

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
const ENTRY: QueueEntry = { jobId: 'job_1', epoch: 1, class: 'standard' };
const USAGE: Usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

const whole: EngineOutcome = { usage: USAGE, ending: { kind: 'whole', finishReasons: ['stop'] } };
const aborted: EngineOutcome = { usage: null, ending: { kind: 'aborted' } };
const brokenOff = failureOfProtocol('The engine broke off.');
const cutOff = failureOfConnection('ECONNRESET', { reached: 'text' });
const gone = failureOfConnection('ECONNREFUSED', { reached: 'nobody' });

function failedBy(failure: EngineFailure): EngineOutcome {
  return { usage: null, ending: { kind: 'failed', failure } };
}

/** The log of one attempt, in memory. */
function createFakeLog(answers: WriteOutcome[]) {
  const writes: string[] = [];
  let ending: Ending | null = null;
  let onStop: ((reason: StopReason) => void) | null = null;
  const log: AttemptLog = {
    tokensMade: 4,
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
  claim,
  running = new Map<string, RunningAttempt>(),
  lockLost = new AbortController(),
  retries = createRetries(1),
  draining = new AbortController(),
}: {
  job?: Partial<ClaimedJob>;
  /** What the store answers to finish and requeue, in order; 'ok' when there is no more. */
  answers?: WriteOutcome[];
  /** What the store answers instead of letting the job run. */
  claim?: Exclude<Claim, { kind: 'run' }>;
  running?: Map<string, RunningAttempt>;
  lockLost?: AbortController;
  retries?: Retries;
  draining?: AbortController;
} = {}) {
  const log = createFakeLog(answers);
  const engine = createFakeEngine();
  const metrics = createWorkerMetrics({
    tier: 'fast',
    host: 'host',
    slots: () => ({ running: 0, free: 1, batch: 0 }),
  });
  const logger = createLogger({ name: 'test', level: 'silent' });
  const lines: object[] = [];
  for (const level of ['info', 'warn'] as const) {
    vi.spyOn(logger, level).mockImplementation((line: unknown) => void lines.push(line as object));
  }
  const delivery = processJob(
    ENTRY,
    { token: 't', signal: lockLost.signal, isAlone: false },
    {
      worker: 'w',
      claim: async () =>
        claim ?? {
          kind: 'run',
          job: { ...JOB, ...job },
          openLog: log.open,
          readSoFar: async () => null,
        },
      run: engine.run,
      running,
      draining: draining.signal,
      random: () => 0.5,
      retries,
      upstream: 'http://engine',
      tier: 'fast',
      tracing: NO_TRACING,
      log: logger,
      metrics,
    },
  );
  return {
    log,
    lines,
    engine,
    running,
    lockLost,
    draining,
    delivery,
    metrics,
    tell: (stop: Stop) => running.get('job_1')?.stop(stop),
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

  it('says in each line on which engine it ran, and of how many workers before', async () => {
    const attempt = await startedAttempt({ job: { attempt: 2, deaths: 1 } });
    attempt.engine.end(whole);
    await attempt.delivery;
    expect(attempt.lines).toMatchObject([
      { state: 'running', upstream: 'http://engine', attempt: 2, deaths: 1 },
      { state: 'completed', upstream: 'http://engine' },
    ]);
    const again = await startedAttempt();
    again.engine.end(failedBy(brokenOff));
    await again.delivery;
    expect(again.lines).toMatchObject([
      { state: 'running', deaths: undefined },
      { state: 'requeued', upstream: 'http://engine' },
    ]);
  });

  it('is over when the job is', async () => {
    const { delivery, log, running } = startAttempt({
      claim: { kind: 'drop', reason: 'completed' },
    });
    expect(await delivery).toEqual({ kind: 'done' });
    expect(log.writes).toEqual([]);
    expect(running.size).toBe(0);
  });

  it('comes again while nobody knows whether its former worker lives', async () => {
    const { delivery, log } = startAttempt({ claim: { kind: 'unclear' } });
    expect(await delivery).toEqual({ kind: 'again', delayMs: 500 });
    expect(log.writes).toEqual([]);
  });

  it('says that the job must run alone', async () => {
    const { delivery, log } = startAttempt({ claim: { kind: 'alone' } });
    expect(await delivery).toEqual({ kind: 'alone' });
    expect(log.writes).toEqual([]);
  });

  it('cancels before the first word', async () => {
    const attempt = await startedAttempt();
    attempt.tell('cancel');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['finish cancelled']);
    expect(attempt.log.ending?.event).toMatchObject({
      ran: true,
      tokens: 4,
      timings: { ttft_ms: null },
    });
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
    expect(metrics).not.toMatch(/outcome="completed"} [1-9]/);
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
    expect(await attempt.metrics.registry.metrics()).not.toMatch(/outcome="\w+"} [1-9]/);
  });

  it('fails a job whose time is up', async () => {
    const attempt = await startedAttempt({ job: { runLeftMs: 1 } });
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.ending?.event).toMatchObject({ error: { code: 'run_timeout' } });
    expect(await attempt.metrics.registry.metrics()).toContain(
      'qarr_jobs_failed_total{tier="fast",cause="run_timeout"} 1',
    );
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

  it('hands back what an engine broke off that was told to stop right before its worker', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.engine.end(failedBy(cutOff));
    await nextTurn();
    attempt.draining.abort();
    expect(await attempt.delivery).toEqual({ kind: 'again', delayMs: 1 });
    expect(attempt.log.writes).toEqual(['append Hel', 'requeue nothing']);
  });

  it('takes a try for what an engine broke off whose worker goes on', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.engine.end(failedBy(cutOff));
    expect(await attempt.delivery).toEqual({ kind: 'again', delayMs: 500 });
    expect(attempt.log.writes).toEqual(['append Hel', 'requeue try']);
  });

  it('heeds a cancel while it waits to see whether its worker is to stop', async () => {
    const attempt = await startedAttempt();
    attempt.engine.send('Hel');
    attempt.engine.end(failedBy(cutOff));
    await nextTurn();
    attempt.tell('cancel');
    expect(await attempt.delivery).toEqual({ kind: 'done' });
    expect(attempt.log.writes).toEqual(['append Hel', 'finish cancelled']);
  });

  it('tries again not before the budget for retries lets it', async () => {
    const retries = { noteSuccess() {}, delayMs: () => 7_000 };
    const broken = await startedAttempt({ retries });
    broken.engine.end(failedBy(brokenOff));
    expect(await broken.delivery).toEqual({ kind: 'again', delayMs: 7_000 });
    // That is no retry.
    const busy = await startedAttempt({ retries });
    busy.engine.end(failedBy(failureOfStatus(503, '')));
    expect(await busy.delivery).toEqual({ kind: 'again', delayMs: 1_000 });
  });

  it('pays into the budget for retries when it is answered', async () => {
    const paid: string[] = [];
    const retries = { noteSuccess: () => void paid.push('once'), delayMs: () => 0 };
    const failed = await startedAttempt({ retries });
    failed.engine.end(failedBy(failureOfStatus(400, '')));
    await failed.delivery;
    expect(paid).toEqual([]);
    const attempt = await startedAttempt({ retries });
    attempt.engine.send('a');
    attempt.engine.end(whole);
    await attempt.delivery;
    expect(paid).toEqual(['once']);
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
    const running = new Map<string, RunningAttempt>();
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
