/**
 * The worker's writing side of the event logs.
 *
 * Per attempt there is one `AttemptLog`. Its deltas of one event-loop turn share one event, the
 * events of all attempts of that turn leave together (`appends.ts`), and an attempt has at most one call
 * under way: what arrives meanwhile waits and is merged. Nothing is held back by a timer, so an
 * idle attempt's first delta leaves in the turn in which it came.
 *
 * Redis may be gone for a while. A call is sent again until it is answered; the scripts know by the
 * sequence number what they have applied already.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { UNKNOWN, appendCall, readOutcome, sendAppends } from './appends.ts';
import type { Append, StopReason, WriteOutcome } from './appends.ts';
import type { RedisClient } from './redis-client.ts';
import type { JobResult, TerminalEvent } from '@qarr/router-core';
import type { Closing } from './closing.ts';
import { EVENT_ARGS, createDeltaBuffer } from './delta-buffer.ts';
import type { AnswerDelta, DeltaBuffer } from './delta-buffer.ts';
import type { Keys } from './keys.ts';
import { runScript } from './scripts.ts';
import type { ScriptCall } from './scripts.ts';
import { createTail } from './tail.ts';
import type { Tail } from './tail.ts';

const RETRY_MS = 200;
const COUNTER: Readonly<Record<Burns, string>> = { try: 'failures', spare: 'spared', nothing: '' };

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
    /** Of its claim. */
    token: string;
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
  readonly token: string;
  nextSeq: number;
  readonly tokensBefore: number | null;
  readonly pending: DeltaBuffer;
  /** What Redis has taken, and may forget. */
  readonly tail: Tail;
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
    const writes = [...dirty].map((attempt) => ({ attempt, append: takeAppend(attempt) }));
    dirty.clear();
    if (writes.length === 0) return;
    const answered = settleAll(writes);
    for (const { attempt } of writes) attempt.underWay = answered;
  }

  async function settleAll(writes: readonly { attempt: Attempt; append: Append }[]): Promise<void> {
    const appends = writes.map(({ append }) => append);
    const outcomes = await sendAppends(appends, { redis, keys });
    for (const [index, { attempt, append }] of writes.entries()) {
      const outcome = outcomes[index] as WriteOutcome | Error;
      // By itself: the others need not wait for it.
      if (outcome instanceof Error) attempt.underWay = appendAgain(attempt, append, outcome);
      else settle(attempt, append, outcome);
    }
  }

  async function appendAgain(attempt: Attempt, append: Append, error: Error): Promise<void> {
    onError(error);
    settle(attempt, append, await insist(attempt, 'append', appendCall([append], keys)));
  }

  function settle(attempt: Attempt, { first, events }: Append, outcome: WriteOutcome): void {
    attempt.underWay = null;
    // It was applied, or had been.
    if (outcome !== 'superseded') attempt.tail.add(first, events);
    if (outcome !== 'ok') stop(attempt, outcome);
    schedule(attempt);
  }

  /** Takes what is pending and gives it its sequence number. */
  function takeAppend(attempt: Attempt): Append {
    const first = attempt.nextSeq;
    return appendOf(attempt, first, takePending(attempt));
  }

  /** Sends a call until it is answered, and before it again what Redis has forgotten. */
  async function insist(attempt: Attempt, name: 'append' | 'finish' | 'requeue', call: ScriptCall) {
    for (;;) {
      try {
        const reply = await runScript(redis, name, call);
        const outcome = name === 'append' ? readOutcome(reply, 0) : (reply as WriteOutcome);
        if (outcome instanceof Error) throw outcome;
        return outcome;
      } catch (error) {
        onError(error as Error);
        // The store was stopped: nobody can say what becomes of the call.
        if (redis.status === 'end') throw error;
        const newest = newestIn(error);
        if (newest === null) await sleep(RETRY_MS);
        else if (!(await restore(attempt, newest))) return 'superseded';
      }
    }
  }

  /** Writes once more what was written behind this number. Returns false where that is not known. */
  async function restore(attempt: Attempt, newest: number): Promise<boolean> {
    const events = attempt.tail.from(newest + 1);
    if (events === null) return false;
    const call = appendCall([appendOf(attempt, newest + 1, events)], keys);
    // Where it fails, the call that is sent again says from where on.
    await runScript(redis, 'append', call).catch(onError);
    return true;
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
    openAttempt({ jobId, attempt: number, token, nextSeq, tokensBefore, onStop }) {
      const attempt: Attempt = {
        jobId,
        attempt: number,
        token,
        nextSeq,
        tokensBefore,
        pending: createDeltaBuffer(),
        tail: createTail(),
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
          const outcome = await insist(attempt, 'finish', {
            keys: [keys.job(jobId), keys.log(jobId)],
            args: [
              jobId,
              number,
              first,
              event.type,
              JSON.stringify(event),
              token,
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
            const call = appendCall([takeAppend(attempt)], keys);
            const outcome = await insist(attempt, 'append', call);
            if (outcome !== 'ok') return outcome;
          }
          const args = [number, COUNTER[burns], made ?? UNKNOWN, token];
          const outcome = await insist(attempt, 'requeue', { keys: [keys.job(jobId)], args });
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

function appendOf(attempt: Attempt, first: number, events: readonly string[]): Append {
  const { jobId, attempt: number, token } = attempt;
  return { jobId, attempt: number, token, tokensMade: tokensMade(attempt), first, events };
}

/** Gives what is pending its sequence numbers. */
function takePending(attempt: Attempt): string[] {
  const events = attempt.pending.take();
  attempt.nextSeq += events.length / EVENT_ARGS;
  return events;
}

/** The newest event that the log has, where the events that were sent begin too far behind it. */
function newestIn(error: unknown): number | null {
  const gap = error instanceof Error ? /^GAP job is at (\d+),/.exec(error.message) : null;
  return gap === null ? null : Number(gap[1]);
}
