/**
 * A job's log as a native event stream, whose ids are the sequence numbers. While the job waits, its
 * place stands between the events, as an event without an id.
 */
import { QarrError, isTerminalType, jobEventSchema } from '@qarr/router-core';
import type { LoggedEvent, QueuePlace } from '@qarr/router-core';
import type { FastifyBaseLogger } from 'fastify';
import type { Positions, QueuedJob } from './positions.ts';
import type { EventStream } from './sse.ts';

/** A reader that lost this replica comes back, to this one or another, after so long. */
const RECONNECT_MS = 1_000;

/** Whether its reader knows already that it waits. */
type FollowedJob = QueuedJob & { readonly isWaiting: boolean };

/**
 * Ends with the terminal event, or before it when this replica stops: the reader then resumes.
 * Never throws: nobody waits for it.
 */
export async function streamJobEvents(
  { isWaiting, ...job }: FollowedJob,
  events: AsyncIterable<LoggedEvent[]>,
  { stream, positions, log }: { stream: EventStream; positions: Positions; log: FastifyBaseLogger },
): Promise<void> {
  const tell = (place: QueuePlace) => stream.mention(positionFrame(place));
  let stopTelling = isWaiting ? positions.follow(job, { told: null, tell }) : null;
  let lastType = '';
  let goodbye = '';
  try {
    for await (const page of events) {
      stopTelling?.();
      lastType = page.at(-1)?.type ?? lastType;
      const queued = queuedBy(page.at(-1));
      if (isTerminalType(lastType)) goodbye = takeFrames(page);
      else await stream.write(takeFrames(page));
      stopTelling =
        queued === null
          ? null
          : positions.follow({ ...job, tier: queued.tier }, { told: queued.told, tell });
    }
    if (!isTerminalType(lastType)) goodbye = `retry: ${RECONNECT_MS}\n\n`;
  } catch (error) {
    const cause = error instanceof QarrError ? error.code : 'internal_error';
    log.warn({ job_id: job.id, cause }, 'stream ended');
  }
  stopTelling?.();
  stream.close(goodbye);
}

/** Where a job waits after this event, and what its reader knows of its place; null if it does not. */
function queuedBy(event: LoggedEvent | undefined): { tier: string; told: number | null } | null {
  if (event?.type !== 'queued' && event?.type !== 'rerouted') return null;
  const read = jobEventSchema.parse(JSON.parse(event.json));
  if (read.type === 'queued') return { tier: read.tier, told: read.position };
  return read.type === 'rerouted' ? { tier: read.to, told: null } : null;
}

function positionFrame({ position, estimatedWaitMs }: QueuePlace): string {
  const data = { type: 'position', position, estimated_wait_ms: estimatedWaitMs };
  return `event: position\ndata: ${JSON.stringify(data)}\n\n`;
}

/** Leaves nothing in the page: whoever waits for a slow reader would keep it all that time. */
function takeFrames(page: LoggedEvent[]): string {
  return page.splice(0).map(frame).join('');
}

function frame({ seq, type, json }: LoggedEvent): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${json}\n\n`;
}
