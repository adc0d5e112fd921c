/**
 * The worker's writing side of the event logs.
 *
 * Per attempt there is one `AttemptLog`. Its deltas of one event-loop turn share one event, the
 * events of all attempts of that turn leave in one pipeline, and an attempt has at most one call
 * under way: what arrives meanwhile waits and is merged. Nothing is held back by a timer, so an
 * idle attempt's first delta leaves in the turn in which it came.
 *
 * Redis may be gone for a while. A call is sent again until it is answered; the scripts know by the
 * sequence number what they have applied already.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { JobResult, TerminalEvent } from '@qarr/router-core';
import type { Closing } from './closing.ts';
import { EVENT_ARGS, createDeltaBuffer } from './delta-buffer.ts';
import type { AnswerDelta, DeltaBuffer } from './delta-buffer.ts';
import type { Keys } from './keys.ts';
import { isNoScript, loadScript, pipeScript, runScript } from './scripts.ts';
import type { ScriptCall } from './scripts.ts';

const RETRY_MS = 200;
const COUNTER: Readonly<Record<Burns, string>> = { try: 'failures', spare: 'spared', nothing: '' };

/** In the record, where an engine has not told its tokens. */
const UNKNOWN = 'unknown';

/** Why an attempt must stop: its job shall be cancelled, or another attempt has taken over. */
export type StopReason = 'cancel' | 'superseded';
export type WriteOutcome = 'ok' | StopReason;

export interface Ending {
  readonly event: TerminalEvent;
  readonly result?: JobResult;
}

/**
 * What giving a job back takes from it: one of its tries, one of the few attempts that are spared
 * because no engine ever took the request, or nothing.
 */
export type Burns = 'try' | 'spare' | 'nothing';

export interface AttemptLog {
  /**
   * Tokens that this and earlier attempts have made, as far as their ids were told; null where they
   * were not.
   */
  readonly tokensMade: number | null;
  /** Adds to the answer. Returns at once. */
  append(delta: AnswerDelta): void;
  /** Ends the job, after everything that was appended. */
  finish(ending: Ending): Promise<WriteOutcome>;
  /**
   * Gives the job back to its queue, after everything that was appended. `tokensMade`: where somebody
   * knows better than the ids tell.
   */
  requeue(options: { burns: Burns; tokensMade?: number | null }): Promise<WriteOutcome>;
}

export interface EventLog {
  openAttempt(options: {
    jobId: string;
    attempt: number;
    nextSeq: number;
    /** By earlier attempts; null where nobody knows. */
    tokensBefore: number | null;
    /** Called at most once, from a write that was refused or that carried a cancel request. */
    onStop: (reason: StopReason) => void;
  }): AttemptLog;
}

interface Attempt {
  readonly jobId: string;
  readonly attempt: number;
  nextSeq: number;
  readonly tokensBefore: number | null;
  readonly pending: DeltaBuffer;
  /** The call that is under way; it settles when it is answered. */
  underWay: Promise<void> | null;
  stopped: StopReason | null;
  readonly onStop: (reason: StopReason) => void;
}

export function createEventLog({
  redis,
  keys,
  closing,
  onRequeued,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  closing: Closing;
  /** A job of this worker waits again. */
  onRequeued: (jobId: string) => void;
  onError: (error: Error) => void;
}): EventLog {
  const dirty = new Set<Attempt>();
  let flushScheduled = false;

  function schedule(attempt: Attempt): void {
    if (attempt.pending.isEmpty || attempt.underWay !== null || attempt.stopped !== null) return;
    dirty.add(attempt);
    if (flushScheduled) return;
    flushScheduled = true;
    setImmediate(flush);
  }

  function flush(): void {
    flushScheduled = false;
    const batch = [...dirty].map((attempt) => ({ attempt, call: appendCall(attempt) }));
    dirty.clear();
    if (batch.length === 0) return;
    const pipeline = pipelineOf(redis);
    for (const { call } of batch) pipeScript(redis, pipeline, { name: 'append', call });
    const answered = pipeline.exec();
    for (const [index, { attempt, call }] of batch.entries()) {
      const reply = answered.then((replies) => replies?.[index]);
      attempt.underWay = settleAppend({ attempt, call, reply });
    }
  }

  /** Takes what is pending and gives it its sequence number. */
  function appendCall(attempt: Attempt): ScriptCall {
    const first = attempt.nextSeq;
    const events = takePending(attempt);
    return {
      keys: [keys.job(attempt.jobId), keys.log(attempt.jobId)],
      args: [attempt.jobId, attempt.attempt, first, tokensMade(attempt) ?? UNKNOWN, ...events],
    };
  }

  async function settleAppend({
    attempt,
    call,
    reply,
  }: {
    attempt: Attempt;
    call: ScriptCall;
    reply: Promise<[Error | null, unknown] | undefined>;
  }): Promise<void> {
    let outcome: unknown;
    try {
      const [error, value] = (await reply) ?? [new Error('No reply'), null];
      if (error !== null) throw error;
      outcome = value;
    } catch (error) {
      if (isNoScript(error)) await loadScript(redis, 'append').catch(onError);
      else onError(error as Error);
      outcome = await insist('append', call);
    }
    attempt.underWay = null;
    if (outcome !== 'ok') stop(attempt, outcome as StopReason);
    schedule(attempt);
  }

  /** Sends a call until it is answered. */
  async function insist(name: 'append' | 'finish' | 'requeue', call: ScriptCall) {
    for (;;) {
      try {
        return (await runScript(redis, name, call)) as WriteOutcome;
      } catch (error) {
        onError(error as Error);
        // The store was stopped: nobody can say what becomes of the call.
        if (redis.status === 'end') throw error;
        if (isGap(error)) return 'superseded';
        await sleep(RETRY_MS);
      }
    }
  }

  function stop(attempt: Attempt, reason: StopReason): void {
    if (attempt.stopped !== null) return;
    // A job that shall be cancelled still takes the events of this attempt, until it is finished.
    attempt.stopped = reason;
    attempt.onStop(reason);
  }

  /** Waits until nothing is under way, and keeps it so. */
  async function quiesce(attempt: Attempt): Promise<void> {
    dirty.delete(attempt);
    while (attempt.underWay !== null) {
      await attempt.underWay;
      dirty.delete(attempt);
    }
  }

  return {
    openAttempt({ jobId, attempt: number, nextSeq, tokensBefore, onStop }) {
      const attempt: Attempt = {
        jobId,
        attempt: number,
        nextSeq,
        tokensBefore,
        pending: createDeltaBuffer(),
        underWay: null,
        stopped: null,
        onStop,
      };
      return {
        get tokensMade() {
          return tokensMade(attempt);
        },
        append(delta) {
          attempt.pending.add(delta);
          schedule(attempt);
        },
        async finish({ event, result }) {
          await quiesce(attempt);
          if (attempt.stopped === 'superseded') return 'superseded';
          // What was not sent yet goes with the terminal event; a cancelled job gets no more text.
          if (event.type === 'cancelled') attempt.pending.take();
          const first = attempt.nextSeq;
          const events = takePending(attempt);
          const fields = ['tokens_made', tokensMade(attempt) ?? UNKNOWN];
          if (result !== undefined) fields.push('result', JSON.stringify(result));
          const outcome = await insist('finish', {
            keys: [keys.job(jobId), keys.log(jobId)],
            args: [
              jobId,
              number,
              first,
              event.type,
              JSON.stringify(event),
              fields.length / 2,
              ...fields,
              ...events,
            ],
          });
          if (outcome === 'ok') closing.close(jobId).catch(onError);
          // Refused: the events were not written, so their numbers are free again.
          else attempt.nextSeq = first;
          return outcome;
        },
        async requeue({ burns, tokensMade: made = tokensMade(attempt) }) {
          await quiesce(attempt);
          if (attempt.stopped === 'superseded') return 'superseded';
          if (!attempt.pending.isEmpty) {
            const outcome = await insist('append', appendCall(attempt));
            if (outcome !== 'ok') return outcome;
          }
          const args = [number, COUNTER[burns], made ?? UNKNOWN];
          const outcome = await insist('requeue', { keys: [keys.job(jobId)], args });
          if (outcome === 'ok') onRequeued(jobId);
          return outcome;
        },
      };
    },
  };
}

function tokensMade({ tokensBefore, pending }: Attempt): number | null {
  return tokensBefore === null || pending.tokens === null ? null : tokensBefore + pending.tokens;
}

/** Gives what is pending its sequence numbers. */
function takePending(attempt: Attempt): string[] {
  const events = attempt.pending.take();
  attempt.nextSeq += events.length / EVENT_ARGS;
  return events;
}

function isGap(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('GAP');
}
