/**
 * The answer to a client that waits for it on its connection, whatever the shape of the answer.
 *
 * Without an `Idempotency-Key` the job is bound to the connection: a client that leaves takes its job
 * with it, because clients retry without saying that they do, and a retry must not double the work.
 * One that sends a key does say so: its job goes on, and the retry gets the same answer from its
 * beginning.
 */
import { QarrError, isTerminalState, isTerminalType } from '@qarr/router-core';
import type { JobRecord, JobResult, LoggedEvent, QueuePlace } from '@qarr/router-core';
import type { FastifyBaseLogger, FastifyReply } from 'fastify';
import type { ApiDeps } from './app.ts';
import { watchClient } from './client-gone.ts';
import type { EventStream } from './sse.ts';
import type { AcceptedJob } from './submit-job.ts';

/** A job's events in the shape of one of OpenAI's streams. */
export interface StreamShape {
  /** The frames for these events. */
  frames(events: readonly LoggedEvent[]): string;
  /** The frames for the text of a finished job whose events are not there any more. */
  stored(result: JobResult): string;
  /** The frame that ends the stream with an error. */
  errorFrame(error: QarrError): string;
  readonly isOver: boolean;
}

/** Bound: nobody else will ever wait for the answer. */
type ForegroundJob = Pick<AcceptedJob, 'id' | 'tier' | 'status' | 'class'> & {
  readonly isBound: boolean;
};

export interface Foreground {
  /** Streams it to its end. Never throws: nobody waits for it. */
  stream(
    job: ForegroundJob,
    to: { stream: EventStream; shape: StreamShape; log: FastifyBaseLogger },
  ): Promise<void>;
  /**
   * The record of the job when it has ended; null when the client has left. Throws where that takes
   * longer than anything is waited for.
   */
  whole(job: ForegroundJob, reply: FastifyReply): Promise<JobRecord | null>;
}

export function createForeground({
  store,
  drain,
  cancels,
  positions,
  limits,
}: Pick<ApiDeps, 'store' | 'drain' | 'cancels' | 'positions' | 'limits'>): Foreground {
  /** For a reader that comes when the log has been removed, but the result is still there. */
  async function storedText(
    id: string,
    { last, shape }: { last: number; shape: StreamShape },
  ): Promise<string> {
    if (last > 0) {
      throw new QarrError('internal_error', {
        message:
          'The events of this job have been removed meanwhile; its result may still be there.',
      });
    }
    const record = await store.get(id);
    return record?.result ? shape.stored(record.result) : '';
  }

  return {
    async stream({ id, tier, class: jobClass, isBound }, { stream, shape, log }) {
      const { signal } = stream;
      const tell = (place: QueuePlace) => stream.mention(placeComment(place));
      let stopTelling: (() => void) | null = null;
      let last = 0;
      let hasEnded = false;
      let goodbye = '';
      try {
        for await (const events of store.follow(id, { after: 0, signal })) {
          stopTelling?.();
          if (events[0]?.seq !== last + 1) {
            await stream.write(await storedText(id, { last, shape }));
          }
          const end = events.at(-1);
          last = end?.seq ?? last;
          hasEnded = isTerminalType(end?.type ?? '');
          const frames = shape.frames(events);
          if (shape.isOver) {
            goodbye = frames;
            break;
          }
          await stream.write(frames);
          const isWaiting = end?.type === 'queued' || end?.type === 'rerouted';
          stopTelling = isWaiting
            ? positions.follow({ id, tier, class: jobClass }, { told: null, tell })
            : null;
        }
        // The reader has left, this server stops, or what comes is another sample: nobody reads on.
        if (!shape.isOver) goodbye = shape.errorFrame(new QarrError('shutting_down'));
      } catch (error) {
        const problem = error instanceof QarrError ? error : new QarrError('internal_error');
        log.warn({ job_id: id, cause: problem.code }, 'stream ended');
        if (!shape.isOver) goodbye = shape.errorFrame(problem);
      }
      stopTelling?.();
      const cancelling = isBound && !hasEnded ? cancels.owe(id) : Promise.resolve();
      // Before that is answered: no heartbeat shall come after the last frame.
      stream.close(goodbye);
      await cancelling;
    },

    async whole({ id, status, isBound }, reply) {
      const client = watchClient(reply);
      const timeUp = new AbortController();
      const timer = setTimeout(() => timeUp.abort(), limits.holdMsMax);
      const signal = AbortSignal.any([client.gone, drain.over, timeUp.signal]);
      let hasEnded = isTerminalState(status);
      try {
        if (!hasEnded) {
          for await (const _events of store.follow(id, { after: 0, signal })) {
            // Following ends by itself after the terminal event.
          }
        }
        if (client.gone.aborted) return null;
        if (drain.over.aborted) throw new QarrError('shutting_down');
        const record = await store.get(id);
        if (record === null) throw new QarrError('job_not_found');
        hasEnded = isTerminalState(record.state);
        if (!hasEnded) {
          // Its job goes on, so that a client that asks again by itself will find it.
          if (!isBound) reply.header('x-should-retry', 'true');
          throw heldTooLong(record, { isBound });
        }
        // With the same key it would be the same failure.
        if (!isBound && record.state !== 'completed') reply.header('x-should-retry', 'false');
        return record;
      } finally {
        clearTimeout(timer);
        client.stop();
        if (isBound && !hasEnded) await cancels.owe(id);
      }
    },
  };
}

function heldTooLong({ startedAt }: JobRecord, { isBound }: { isBound: boolean }): QarrError {
  const [code, what] =
    startedAt === null
      ? (['queue_timeout', 'The job was not started'] as const)
      : (['run_timeout', 'The job did not end'] as const);
  const outcome = isBound
    ? 'It is cancelled: stream the answer, or send an Idempotency-Key.'
    : 'It goes on: send the request again with the same Idempotency-Key.';
  return new QarrError(code, { message: `${what} while its answer was waited for. ${outcome}` });
}

/**
 * Where a job stands that waits, in a comment: no official client would survive an event of ours. One
 * newline, as of all comments on these streams.
 */
function placeComment({ position, estimatedWaitMs }: QueuePlace): string {
  const wait = estimatedWaitMs === null ? '' : ` estimated_wait_ms=${estimatedWaitMs}`;
  return `: queued position=${position}${wait}\n`;
}
