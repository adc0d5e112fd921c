/**
 * The life of one job, as its worker sees it. Read this first.
 *
 *   claim    the queue entry becomes an attempt, or is dropped because the job is over or elsewhere
 *   run      the engine streams; every delta goes to the log of this attempt
 *   conclude by how it ended: finish the job, try it again, or give it back
 *
 * An attempt that follows on one whose text was published carries that text on, if the job says
 * so: the claim brings what was published. That is the one way by which an answer survives its
 * engine, its worker or a deployment.
 *
 * The attempt may be told to stop at any time: its job is cancelled, another attempt has taken
 * over, its time is up, or this worker is stopping.
 */
import { fullJitterMs, jobError } from '@qarr/router-core';
import type { JobError, Timings, Usage } from '@qarr/router-core';
import type {
  AnswerDelta,
  AttemptLog,
  Burns,
  Claim,
  ClaimedJob,
  Delivery,
  Ending,
  QueueEntry,
  SoFar,
} from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import { createAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { isContinuable } from './continuation.ts';
import type { EngineOutcome } from './engine.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { WorkerMetrics } from './metrics.ts';

/** Tries that may fail, the first one included. */
const TRIES_MAX = 3;
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 30_000;
/** Attempts that are spared, because no engine took the request, before they count as tries. */
const SPARED_MAX = 2;
/** For a failure that burns no try, when the engine does not say how long. */
const ENGINE_BUSY_MS = 1_000;
/** Timers cannot wait longer, 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Why an attempt stops before its engine has finished. */
export type Stop = 'cancel' | 'superseded' | 'time-up' | 'hand-back';

export interface ProcessJobDeps {
  readonly worker: string;
  readonly claim: (
    entry: QueueEntry,
    delivery: { worker: string; token: string },
  ) => Promise<Claim>;
  readonly run: (
    job: ClaimedJob & { readonly soFar: SoFar | null },
    options: { signal: AbortSignal; onDelta: (delta: AnswerDelta) => void },
  ) => Promise<EngineOutcome>;
  /** The running jobs, so that they can be told to stop. */
  readonly running: Map<string, (stop: Stop) => void>;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: WorkerMetrics;
}

export async function processJob(
  entry: QueueEntry,
  delivery: { token: string; signal: AbortSignal },
  deps: ProcessJobDeps,
): Promise<Delivery> {
  const claim = await deps.claim(entry, { worker: deps.worker, token: delivery.token });
  if (claim.kind === 'drop') {
    deps.log.info({ job: entry.jobId, reason: claim.reason }, 'entry dropped');
    return { kind: 'done' };
  }
  const { job } = claim;
  const log = deps.log.child({ job: job.jobId, attempt: job.attempt });
  log.info({ queue_wait_ms: job.queueWaitMs }, 'attempt started');
  deps.metrics.started(job);

  const stopping = createStopping(delivery.signal);
  const attemptLog = claim.openLog(stopping.stop);
  const runLeftMs = Math.min(job.runLeftMs, TIMER_MS_MAX);
  const timeUp = setTimeout(() => stopping.stop('time-up'), runLeftMs);
  deps.running.set(job.jobId, stopping.stop);
  try {
    // Only now: a log may be long, and somebody may cancel meanwhile.
    const soFar = await claim.readSoFar();
    const answer = createAnswer({ soFar }, attemptLog, deps.metrics);
    const outcome = await deps.run(
      { ...job, soFar },
      { signal: stopping.signal, onDelta: answer.add },
    );
    const conclusion = conclude({
      job,
      outcome,
      answer,
      stop: stopping.reason,
      random: deps.random,
    });
    return await carryOut({ conclusion, job, entry, attemptLog, answer, outcome, log, deps });
  } finally {
    clearTimeout(timeUp);
    // A newer attempt of the same job may run here, and must remain within reach.
    if (deps.running.get(job.jobId) === stopping.stop) deps.running.delete(job.jobId);
  }
}

/** What shall become of the job. */
export type Conclusion =
  | { kind: 'finish'; ending: Ending }
  | { kind: 'again'; burns: Burns; delayMs: number; failure: EngineFailure | null }
  /** Another attempt owns the job: not a word more from this one. */
  | { kind: 'leave' };

/** Decides. Pure, but for the answer's clock. */
export function conclude({
  job,
  outcome: { ending, usage },
  answer,
  stop,
  random,
}: {
  job: ClaimedJob;
  outcome: EngineOutcome;
  answer: Answer;
  stop: Stop | null;
  random: () => number;
}): Conclusion {
  const timings = answer.timings(job);
  if (stop === 'superseded') return { kind: 'leave' };
  if (stop === 'cancel') return cancelled({ usage, timings });

  if (ending.kind === 'whole') {
    const [finishReason, ...others] = ending.finishReasons;
    const result = answer.result(ending.finishReasons);
    return {
      kind: 'finish',
      ending: {
        event: {
          type: 'completed',
          finish_reason: finishReason,
          ...(others.length > 0 ? { finish_reasons: [finishReason, ...others] } : {}),
          usage,
          timings,
          continued: result.continued,
        },
        result,
      },
    };
  }
  const mayGoOn = !answer.hasBegun || survivesInterruption(job);
  if (ending.kind === 'aborted') {
    if (stop !== 'hand-back') return failed({ error: jobError('run_timeout'), usage, timings });
    return mayGoOn
      ? { kind: 'again', burns: 'nothing', delayMs: 1, failure: null }
      : failed({ error: jobError('worker_lost'), usage, timings });
  }

  const { failure } = ending;
  const burns = burnsOf(failure, job);
  const failures = job.failures + (burns === 'try' ? 1 : 0);
  if (failure.retryable && mayGoOn && failures < TRIES_MAX) {
    const backoff = { baseMs: RETRY_BASE_MS, capMs: RETRY_CAP_MS, random: random() };
    const delayMs =
      burns === 'try' ? fullJitterMs({ attempt: failures, ...backoff }) : ENGINE_BUSY_MS;
    return { kind: 'again', burns, delayMs: Math.max(delayMs, failure.retryAfterMs ?? 0), failure };
  }
  const isInterrupted = failure.retryable && answer.hasBegun && job.onInterrupt !== 'restart';
  const code = isInterrupted ? 'upstream_interrupted' : failure.code;
  return failed({ error: jobError(code, failure.message), usage, timings });
}

/** Whether another attempt may follow on one whose text was published. */
function survivesInterruption({ onInterrupt, request }: ClaimedJob): boolean {
  if (onInterrupt === 'continue') return isContinuable(request);
  return onInterrupt === 'restart';
}

function burnsOf(failure: EngineFailure, job: ClaimedJob): Burns {
  return failure.burns === 'spare' && job.spared >= SPARED_MAX ? 'try' : failure.burns;
}

async function carryOut({
  conclusion,
  job,
  entry,
  attemptLog,
  answer,
  outcome,
  log,
  deps,
}: {
  conclusion: Conclusion;
  job: ClaimedJob;
  entry: QueueEntry;
  attemptLog: AttemptLog;
  answer: Answer;
  outcome: EngineOutcome;
  log: Logger;
  deps: ProcessJobDeps;
}): Promise<Delivery> {
  if (conclusion.kind === 'leave') {
    log.warn('attempt superseded');
    return { kind: 'done' };
  }
  const written =
    conclusion.kind === 'finish'
      ? await attemptLog.finish(conclusion.ending)
      : await attemptLog.requeue({ burns: conclusion.burns });
  if (written === 'superseded') {
    log.warn('attempt superseded');
    return { kind: 'done' };
  }
  if (written === 'cancel') {
    // The request to cancel came while the last words were on their way.
    const { usage } = outcome;
    const instead = cancelled({ usage, timings: answer.timings(job) });
    return carryOut({ conclusion: instead, job, entry, attemptLog, answer, outcome, log, deps });
  }
  if (conclusion.kind === 'again') {
    const { delayMs, burns, failure } = conclusion;
    log.warn({ delay_ms: delayMs, burns, cause: failure?.code ?? 'hand-back' }, 'again');
    return { kind: 'again', delayMs };
  }
  const { event } = conclusion.ending;
  log.info({ outcome: event.type, ...event.timings }, 'job ended');
  deps.metrics.ended({ event, class: entry.class });
  return { kind: 'done' };
}

function failed(details: { error: JobError; usage: Usage | null; timings: Timings }): Conclusion {
  return { kind: 'finish', ending: { event: { type: 'failed', ...details } } };
}

function cancelled({ usage, timings }: { usage: Usage | null; timings: Timings }): Conclusion {
  const tokens = usage?.completion_tokens ?? null;
  return {
    kind: 'finish',
    ending: { event: { type: 'cancelled', ran: true, tokens, usage, timings } },
  };
}

/** The first reason to stop counts. */
function createStopping(lockLost: AbortSignal) {
  const controller = new AbortController();
  let reason: Stop | null = null;
  function stop(why: Stop): void {
    reason ??= why;
    controller.abort();
  }
  lockLost.addEventListener('abort', () => stop('superseded'), { once: true });
  if (lockLost.aborted) stop('superseded');
  return {
    stop,
    signal: controller.signal,
    get reason() {
      return reason;
    },
  };
}
