/** Follows a job's events to the last one, over at most two connections. */
import { firstProblem, isTerminalType, jobEventSchema } from '@qarr/router-core';
import type { JobEvent, JobEventType } from '@qarr/router-core';
import type { EventSourceMessage } from 'eventsource-parser';
import { CliError, messageOf } from '../cli-error.ts';
import { readEventStream } from './event-stream.ts';
import { isRecord } from '../is-record.ts';

/** A second break in one short answer is not bad luck any more. */
const CONNECTIONS_MAX = 2;

/** Yields each event once and in order; the last one is terminal. Throws a CliError otherwise. */
export async function* followJob({
  eventsUrl,
  signal,
}: {
  eventsUrl: string;
  signal: AbortSignal;
}): AsyncGenerator<JobEvent> {
  let lastEventId = '';
  let problem = '';
  for (let connection = 0; connection < CONNECTIONS_MAX; connection++) {
    try {
      for await (const message of readEventStream({ url: eventsUrl, lastEventId, signal })) {
        lastEventId = message.id ?? lastEventId;
        const event = readEvent(message);
        if (event === null) continue;
        yield event;
        if (isTerminalType(event.type)) return;
      }
      problem = 'it ended before the last event';
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof CliError) throw error;
      problem = messageOf(error);
    }
  }
  throw new CliError(`the stream of the job's events broke ${CONNECTIONS_MAX} times: ${problem}`);
}

const LOGGED_TYPES: ReadonlySet<string> = new Set<JobEventType>([
  ...(['queued', 'started', 'delta', 'reset'] as const),
  ...(['completed', 'failed', 'cancelled', 'expired'] as const),
]);

/** Null for an event of another kind, such as the position while a job waits. */
function readEvent({ event: type = '', data }: EventSourceMessage): JobEvent | null {
  if (!LOGGED_TYPES.has(type)) return null;
  const body = parseJson(data);
  const parsed = jobEventSchema.safeParse(isRecord(body) ? { type, ...body } : body);
  if (parsed.success) return parsed.data;
  throw new CliError(`the API sent a malformed event "${type}": ${firstProblem(parsed.error)}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema says that it is no object.
    return undefined;
  }
}
