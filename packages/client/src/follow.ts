/**
 * Follows a job's events over as many connections as it takes.
 *
 * The reader's place is the number of the last event that it was given: each connection begins after
 * it, on whatever replica. So an event is never given twice; one that is missing is an error, never
 * an omission.
 */
import { QarrClientError } from './errors.ts';
import { LOGGED_TYPES, isTerminal } from './events.ts';
import type { StreamEvent } from './events.ts';
import type { JsonEvent, Message } from './event-stream.ts';
import { networkError } from './http.ts';
import { retryDelayMs } from './retry.ts';

/** A connection that stood so long was no failure, even if the job had nothing to say. */
const STEADY_MS = 10_000;
/** A server that says when to come back says a second; more than this is a mistake. */
const RETRY_MS_MAX = 30_000;

export interface FollowDeps {
  /** One connection, whose events begin after this number. */
  readonly connect: (after: number) => AsyncIterable<Message>;
  readonly sleep: (ms: number) => Promise<void>;
  /** Milliseconds of a clock that does not run backwards. */
  readonly now: () => number;
  readonly random: () => number;
}

export async function* follow({
  jobId,
  after,
  reconnectsMax,
  retryAfterMsMax,
  connect,
  sleep,
  now,
  random,
}: FollowDeps & {
  jobId: string;
  after: number;
  reconnectsMax: number;
  retryAfterMsMax: number;
}): AsyncGenerator<StreamEvent, void, undefined> {
  let last = after;
  /** Connections in a row that brought nothing. */
  let fruitless = 0;
  for (;;) {
    const beganAtMs = now();
    let isFirst = true;
    let retryMs: number | undefined;
    let problem = networkError(undefined);
    try {
      for await (const message of connect(last)) {
        if (message.kind === 'nothing_follows') return;
        if (message.kind === 'retry') {
          retryMs = Math.min(message.ms, RETRY_MS_MAX);
          continue;
        }
        const { seq, event } = message;
        if (seq === null) {
          if (event.type === 'position') yield event as unknown as StreamEvent;
          continue;
        }
        if (seq <= last) continue;
        if (seq > last + 1) throw gapError({ jobId, last, seq, isFirst, event });
        last = seq;
        fruitless = 0;
        isFirst = false;
        const given = { ...event, seq } as unknown as StreamEvent;
        if (LOGGED_TYPES.has(event.type)) yield given;
        if (isTerminal(given)) return;
      }
    } catch (error) {
      if (!(error instanceof QarrClientError) || !error.retryable) throw error;
      problem = error;
    }
    fruitless = now() - beganAtMs >= STEADY_MS ? 1 : fruitless + 1;
    const delayMs = retryDelayMs({
      failures: fruitless,
      retryAfterMs: problem.retryAfterMs,
      retryAfterMsMax,
      random: random(),
      ...(retryMs === undefined ? {} : { baseMs: retryMs }),
    });
    if (delayMs === null) throw problem;
    if (fruitless > reconnectsMax) throw exhaustedError({ jobId, reconnectsMax, last, problem });
    await sleep(delayMs);
  }
}

/**
 * For an hour after a job's end its events are kept. Then, while its result still is, a reader gets
 * the last one alone.
 */
function gapError({
  jobId,
  last,
  seq,
  isFirst,
  event,
}: {
  jobId: string;
  last: number;
  seq: number;
  isFirst: boolean;
  event: JsonEvent;
}): QarrClientError {
  if (isFirst && isTerminal(event as unknown as StreamEvent)) {
    return new QarrClientError({
      code: 'events_gone',
      message: 'The job has ended and its events are no longer kept; look it up for its result.',
      retryable: false,
      jobId,
    });
  }
  return new QarrClientError({
    code: 'stream_gap',
    message: `After event ${last} came ${seq}.`,
    retryable: false,
    jobId,
  });
}

function exhaustedError({
  jobId,
  reconnectsMax,
  last,
  problem,
}: {
  jobId: string;
  reconnectsMax: number;
  last: number;
  problem: QarrClientError;
}): QarrClientError {
  return new QarrClientError({
    code: 'reconnects_exhausted',
    message: `The stream was taken up ${reconnectsMax} times in a row and brought nothing after event ${last}.`,
    // Later, from there on.
    retryable: true,
    status: problem.status ?? undefined,
    requestId: problem.requestId,
    jobId,
    cause: problem,
  });
}
