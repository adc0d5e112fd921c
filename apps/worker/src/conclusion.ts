/** What shall become of a job whose attempt has ended: a decision without any I/O. */
import { fullJitterMs, jobError } from '@qarr/router-core';
import type { JobError, Timings, Usage } from '@qarr/router-core';
import type { AttemptLog, Burns, ClaimedJob, Ending, SoFar } from '@qarr/job-store';
import type { Answer } from './answer.ts';
import { isContinuable } from './continuation.ts';
import type { EngineOutcome } from './engine.ts';
import type { EngineFailure } from './engine-failure.ts';

/** Tries that may fail, the first one included. */
const TRIES_MAX = 3;
const RETRY_BASE_MS = 1_000;
const RETRY_CAP_MS = 30_000;
/** Attempts that are spared, because no engine took the request, before they count as tries. */
const SPARED_MAX = 2;
/** For a failure that burns no try, when the engine does not say how long. */
const ENGINE_BUSY_MS = 1_000;

/** Why an attempt stops before its engine has finished. */
export type Stop = 'cancel' | 'superseded' | 'time-up' | 'hand-back';

export type Conclusion =
  | { kind: 'finish'; ending: Ending }
  | { kind: 'again'; burns: Burns; delayMs: number; failure: EngineFailure | null }
  /** Another attempt owns the job: not a word more from this one. */
  | { kind: 'leave' };

export function conclude({
  job,
  outcome: { ending, usage },
  tokensMade,
  answer,
  stop,
  isDraining,
  random,
}: {
  job: ClaimedJob;
  outcome: EngineOutcome;
  /** By all attempts; null where nobody knows. */
  tokensMade: number | null;
  answer: Answer;
  stop: Stop | null;
  /** The worker is stopping, also where it was told so right after its engine had broken off. */
  isDraining: boolean;
  random: () => number;
}): Conclusion {
  const timings = answer.timings(job);
  if (stop === 'superseded') return { kind: 'leave' };
  if (stop === 'cancel') return cancelled({ tokens: tokensMade, usage, timings });

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
  // What its engine breaks off while the worker stops is no failed try: mostly it is stopped, too.
  if (isDraining && failure.retryable && mayGoOn) {
    return { kind: 'again', burns: 'nothing', delayMs: 1, failure };
  }
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

function failed(details: { error: JobError; usage: Usage | null; timings: Timings }): Conclusion {
  return { kind: 'finish', ending: { event: { type: 'failed', ...details } } };
}

export function cancelled(details: {
  tokens: number | null;
  usage: Usage | null;
  timings: Timings;
}): Conclusion {
  return { kind: 'finish', ending: { event: { type: 'cancelled', ran: true, ...details } } };
}

/**
 * How many tokens all attempts have made: as the engine counts them, or by their ids. What it counts
 * of an answer that is carried on holds the earlier attempts.
 */
export function tokensOf({
  job: { tokensBefore },
  soFar,
  outcome: { usage },
  attemptLog,
}: {
  job: ClaimedJob;
  soFar: SoFar | null;
  outcome: EngineOutcome;
  attemptLog: Pick<AttemptLog, 'tokensMade'>;
}): number | null {
  if (usage === null) return attemptLog.tokensMade;
  if (soFar !== null) return usage.completion_tokens;
  return tokensBefore === null ? null : tokensBefore + usage.completion_tokens;
}
