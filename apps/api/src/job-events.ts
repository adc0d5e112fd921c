/** A job's log as a native event stream, whose ids are the sequence numbers. */
import { isTerminalType } from '@qarr/router-core';
import type { LoggedEvent } from '@qarr/router-core';
import type { EventStream } from './sse.ts';

/** A reader that lost this replica comes back, to this one or another, after so long. */
const RECONNECT_MS = 1_000;

/** Ends with the terminal event, or before it when this replica stops: the reader then resumes. */
export async function streamJobEvents(
  stream: EventStream,
  events: AsyncIterable<LoggedEvent[]>,
): Promise<void> {
  let last: LoggedEvent | undefined;
  for await (const page of events) {
    last = page.at(-1);
    await stream.write(page.map(frame).join(''));
  }
  if (last === undefined || !isTerminalType(last.type)) {
    await stream.write(`retry: ${RECONNECT_MS}\n\n`);
  }
  stream.close();
}

function frame({ seq, type, json }: LoggedEvent): string {
  return `id: ${seq}\nevent: ${type}\ndata: ${json}\n\n`;
}
