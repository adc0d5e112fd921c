/** A job's log as a native event stream, whose ids are the sequence numbers. */
import { QarrError, isTerminalType } from '@qarr/router-core';
import type { LoggedEvent } from '@qarr/router-core';
import type { FastifyBaseLogger } from 'fastify';
import type { EventStream } from './sse.ts';

/** A reader that lost this replica comes back, to this one or another, after so long. */
const RECONNECT_MS = 1_000;

/**
 * Ends with the terminal event, or before it when this replica stops: the reader then resumes.
 * Never throws: nobody waits for it.
 */
export async function streamJobEvents(
  { id, stream, log }: { id: string; stream: EventStream; log: FastifyBaseLogger },
  events: AsyncIterable<LoggedEvent[]>,
): Promise<void> {
  let lastType = '';
  try {
    for await (const page of events) {
      lastType = page.at(-1)?.type ?? lastType;
      await stream.write(takeFrames(page));
    }
    if (!isTerminalType(lastType)) await stream.write(`retry: ${RECONNECT_MS}\n\n`);
  } catch (error) {
    const cause = error instanceof QarrError ? error.code : 'internal_error';
    log.warn({ job: id, cause }, 'stream ended');
  }
  stream.close();
}

/** Leaves nothing in the page: whoever waits for a slow reader would keep it all that time. */
function takeFrames(page: LoggedEvent[]): string {
  return page.splice(0).map(frame).join('');
}

function frame({ seq, type, json }: LoggedEvent): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${json}\n\n`;
}
