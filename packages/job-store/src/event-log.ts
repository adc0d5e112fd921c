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
import { UNKNOWN, sendAppends } from './appends.ts';
import type { Append } from './appends.ts';
import { isCluster } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Burns, EventLog, StopReason, WriteOutcome } from './attempt-log.ts';
import type { Closing } from './closing.ts';
import { EVENT_ARGS, createDeltaBuffer } from './delta-buffer.ts';
import type { DeltaBuffer } from './delta-buffer.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { runScript, takeSteps } from './scripts.ts';
import type { ScriptCall, Step } from './scripts.ts';
import { createTail } from './tail.ts';
import type { Tail } from './tail.ts';

const RETRY_MS = 200;
const COUNTER: Readonly<Record<Burns, string>> = { try: 'failures', spare: 'spared', nothing: '' };

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
  ledger,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  closing: Closing;
  ledger: Pick<Ledger, 'returning'>;
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
    settle(attempt, append, await insist(attempt, () => sendAppend(append)));
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

  /** Sends until it is answered, and before it again what Redis has forgotten. */
  async function insist(attempt: Attempt, send: () => Promise<WriteOutcome>) {
    for (;;) {
      try {
        return await send();
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

  async function sendAppend(append: Append): Promise<WriteOutcome> {
    const [outcome] = await sendAppends([append], { redis, keys });
    if (outcome === undefined || outcome instanceof Error) throw outcome ?? new Error('No reply');
    return outcome;
  }

  /** Finishes a job and takes the steps behind that. What fails together is done one after the other. */
  async function end(attempt: Attempt, call: ScriptCall, steps: Step[] | null) {
    if (steps !== null) {
      const finish: Step = { script: 'finish', ...call, goOn: ['ok'] };
      try {
        const replies = await takeSteps(redis, [finish, ...steps], onError);
        const isClosed = replies.length === 1 + steps.length;
        return { outcome: replies[0] as WriteOutcome, isClosed };
      } catch (error) {
        onError(error as Error);
      }
    }
    const send = async () => (await runScript(redis, 'finish', call)) as WriteOutcome;
    return { outcome: await insist(attempt, send), isClosed: false };
  }

  /** Writes once more what was written behind this number. Returns false where that is not known. */
  async function restore(attempt: Attempt, newest: number): Promise<boolean> {
    const events = attempt.tail.from(newest + 1);
    if (events === null) return false;
    // Where it fails, the call that is sent again says from where on.
    await sendAppend(appendOf(attempt, newest + 1, events)).catch(onError);
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
    openAttempt({ job, attempt: number, token, nextSeq, tokensBefore, onStop }) {
      const { jobId } = job;
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
          const state = event.type;
          const made = tokensMade(attempt);
          const ended = { ...job, state, attempt: number, tokensMade: made, final: event };
          const rest = isCluster(redis) ? null : closing.atOnce(ended);
          const call = {
            keys: [keys.job(jobId), keys.log(jobId), ...(rest?.keptIn ?? [])],
            args: [
              jobId,
              number,
              first,
              state,
              JSON.stringify(event),
              token,
              rest?.keptAs ?? '',
              fields.length / 2,
              ...fields,
              ...events,
            ],
          };
          const { outcome, isClosed } = await end(attempt, call, rest?.steps ?? null);
          // Refused: the events were not written, so their numbers are free again.
          if (outcome !== 'ok') attempt.nextSeq = first;
          else if (!isClosed) closing.close(jobId).catch(onError);
          return outcome;
        },
        async requeue({ burns, tokensMade: made = tokensMade(attempt) }) {
          await quiesce(attempt);
          if (attempt.stopped === 'superseded') return 'superseded';
          if (!attempt.pending.isEmpty) {
            const append = takeAppend(attempt);
            const outcome = await insist(attempt, () => sendAppend(append));
            if (outcome !== 'ok') return outcome;
          }
          const args = [number, COUNTER[burns], made ?? UNKNOWN, token];
          const waits = [ledger.returning(job.tier, jobId)];
          const requeue: Step = { script: 'requeue', keys: [keys.job(jobId)], args, goOn: ['ok'] };
          return insist(attempt, async () => {
            // What it leaves undone is for the sweep.
            const replies = await takeSteps(redis, [requeue, ...waits], onError);
            return replies[0] as WriteOutcome;
          });
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
