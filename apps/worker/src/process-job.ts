/**
 * The life of one job, as its worker sees it. Read this first.
 *
 *   claim    the queue entry becomes an attempt, or is dropped because the job is over or elsewhere,
 *            or comes again because the job must run alone or nobody knows yet who has it
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
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  AnswerDelta,
  AttemptLog,
  Claim,
  Claimant,
  ClaimedJob,
  Delivery,
  QueueEntry,
  SoFar,
} from '@qarr/job-store';
import { jobFields, logJobChange } from '@qarr/process';
import type { Logger, Span, Tracing } from '@qarr/process';
import type { JobChange } from '@qarr/router-core';
import { createAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { beginAttemptSpan, noteOutcome, outcomeOf } from './attempt-span.ts';
import { cancelled, conclude, tokensOf } from './conclusion.ts';
import type { Conclusion, Stop } from './conclusion.ts';
import type { EngineOutcome } from './engine.ts';
import type { WorkerMetrics } from './metrics.ts';
import type { Retries } from './retries.ts';

/** For an entry whose job may still have a worker: half a heartbeat's patience. */
const UNCLEAR_MS = 500;
/**
 * An engine and its worker that are told to stop together are not told at the same moment: where the
 * engine breaks off, it is known after so long whether its worker stops as well.
 */
const TOLD_WITHIN_MS = 150;
/** Timers cannot wait longer, 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** An attempt that runs here, and how to tell it to stop. */
export interface RunningAttempt {
  readonly attempt: number;
  readonly stop: (stop: Stop) => void;
}

export interface ProcessJobDeps {
  readonly worker: string;
  /** URL of the engine; it has no credentials. */
  readonly upstream: string;
  readonly tier: string;
  readonly claim: (entry: QueueEntry, claimant: Claimant) => Promise<Claim>;
  readonly run: (
    job: ClaimedJob & { readonly soFar: SoFar | null },
    options: {
      signal: AbortSignal;
      onDelta: (delta: AnswerDelta) => void;
      /** W3C trace context of the attempt. */
      traceparent: string;
    },
  ) => Promise<EngineOutcome>;
  /** By the ids of their jobs. */
  readonly running: Map<string, RunningAttempt>;
  /** Aborted when this worker stops. */
  readonly draining: AbortSignal;
  readonly random: () => number;
  readonly retries: Retries;
  readonly tracing: Pick<Tracing, 'span'>;
  /** Without a tier of its own: each line of a job has it. */
  readonly log: Logger;
  readonly metrics: WorkerMetrics;
}

/** `alone`: the job may run only where nothing else does, and this worker has not said so. */
export async function processJob(
  entry: QueueEntry,
  delivery: { token: string; signal: AbortSignal; isAlone: boolean },
  deps: ProcessJobDeps,
): Promise<Delivery | { kind: 'alone' }> {
  const { token, isAlone } = delivery;
  const claim = await deps.claim(entry, { worker: deps.worker, token, isAlone });
  switch (claim.kind) {
    case 'drop':
      deps.log.info(
        { job_id: entry.jobId, tier: deps.tier, class: entry.class, reason: claim.reason },
        'entry dropped',
      );
      return { kind: 'done' };
    case 'unclear':
      deps.log.info(
        { job_id: entry.jobId, tier: deps.tier, class: entry.class },
        'its worker may live: later',
      );
      return { kind: 'again', delayMs: UNCLEAR_MS };
    case 'alone':
      return claim;
    case 'run':
      return runClaimed({ claim, entry, signal: delivery.signal, deps });
    default:
      return claim satisfies never;
  }
}

async function runClaimed({
  claim,
  entry,
  signal,
  deps,
}: {
  claim: Extract<Claim, { kind: 'run' }>;
  entry: QueueEntry;
  /** Aborted when the entry's lock is lost. */
  signal: AbortSignal;
  deps: ProcessJobDeps;
}): Promise<Delivery> {
  const { job } = claim;
  const { tier, worker, upstream } = deps;
  const { jobId, attempt, requestId, traceparent, queueWaitMs } = job;
  const named = { jobId, attempt, requestId, traceparent, tier, class: entry.class };
  // It was taken over from a worker that died.
  const deaths = job.deaths > 0 ? job.deaths : undefined;
  logJobChange(
    deps.log,
    { ...named, to: 'running' },
    { worker, upstream, deaths, queue_wait_ms: queueWaitMs },
  );
  const span = beginAttemptSpan(job, { ...deps, class: entry.class });
  deps.metrics.started(job);

  const stopping = createStopping(signal);
  const attemptLog = claim.openLog(stopping.stop);
  const runLeftMs = Math.min(job.runLeftMs, TIMER_MS_MAX);
  const timeUp = setTimeout(() => stopping.stop('time-up'), runLeftMs);
  const running: RunningAttempt = { attempt: job.attempt, stop: stopping.stop };
  deps.running.set(job.jobId, running);
  try {
    // Only now: a log may be long, and somebody may cancel meanwhile.
    const soFar = await claim.readSoFar();
    span.set({ 'qarr.attempt.carries_on': soFar !== null });
    const answer = createAnswer({ soFar }, attemptLog, deps.metrics);
    const outcome = await deps.run(
      { ...job, soFar },
      { signal: stopping.signal, onDelta: answer.add, traceparent: span.traceparent },
    );
    if (outcome.ending.kind === 'failed' && outcome.ending.failure.brokeOff) {
      const told = AbortSignal.any([deps.draining, stopping.signal]);
      await sleep(TOLD_WITHIN_MS, null, { signal: told }).catch(() => {});
    }
    const tokensMade = tokensOf({ job, soFar, outcome, attemptLog });
    const conclusion = conclude({
      job,
      outcome,
      tokensMade,
      answer,
      stop: stopping.reason,
      isDraining: deps.draining.aborted,
      random: deps.random,
    });
    return await carryOut(conclusion, {
      job,
      entry,
      attemptLog,
      answer,
      outcome,
      tokensMade,
      named,
      span,
      deps,
    });
  } finally {
    span.end();
    clearTimeout(timeUp);
    // A newer attempt of the same job may run here, and must remain within reach.
    if (deps.running.get(job.jobId) === running) deps.running.delete(job.jobId);
  }
}

/** An attempt that has ended, and what is needed to write that down. */
interface Ended {
  readonly job: ClaimedJob;
  readonly entry: QueueEntry;
  readonly attemptLog: AttemptLog;
  readonly answer: Answer;
  readonly outcome: EngineOutcome;
  readonly tokensMade: number | null;
  readonly named: Omit<JobChange, 'to'>;
  readonly span: Span;
  readonly deps: ProcessJobDeps;
}

async function carryOut(conclusion: Conclusion, ended: Ended): Promise<Delivery> {
  const { job, entry, attemptLog, answer, outcome, tokensMade, named, span, deps } = ended;
  if (conclusion.kind === 'leave') return leave(ended);
  const written =
    conclusion.kind === 'finish'
      ? await attemptLog.finish(conclusion.ending)
      : await attemptLog.requeue({ burns: conclusion.burns, tokensMade });
  if (written === 'superseded') return leave(ended);
  if (written === 'cancel') {
    // The request to cancel came while the last words were on their way.
    const { usage } = outcome;
    const instead = cancelled({ tokens: tokensMade, usage, timings: answer.timings(job) });
    return carryOut(instead, ended);
  }
  if (conclusion.kind === 'again') {
    const { burns, failure } = conclusion;
    // What the engine has not begun, or has no time for, is no retry.
    const budgetMs = burns === 'nothing' ? 0 : deps.retries.delayMs();
    const delayMs = Math.max(conclusion.delayMs, budgetMs);
    if (burns !== 'nothing') deps.metrics.retried(burns);
    const cause = failure?.code ?? 'hand-back';
    const why = { upstream: deps.upstream, delay_ms: Math.round(delayMs), burns, cause };
    logJobChange(deps.log, { ...named, to: 'requeued' }, why);
    noteOutcome(span, outcomeOf(conclusion), failure?.code);
    return { kind: 'again', delayMs };
  }
  const { event } = conclusion.ending;
  if (event.type === 'completed') deps.retries.noteSuccess();
  const cause = 'error' in event ? event.error.code : undefined;
  const { upstream } = deps;
  logJobChange(deps.log, { ...named, to: event.type }, { upstream, cause, ...event.timings });
  noteOutcome(span, outcomeOf(conclusion), cause);
  deps.metrics.ended({ event, class: entry.class });
  return { kind: 'done' };
}

/** Not a word more from this attempt: another one has the job. */
function leave({ named, span, deps }: Ended): Delivery {
  // Whoever has taken the job from it tells why: mostly it was deleted, or found without a live worker.
  deps.log.info(jobFields(named), 'attempt superseded');
  noteOutcome(span, 'superseded');
  return { kind: 'done' };
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
