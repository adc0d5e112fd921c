/**
 * What is published to those who follow jobs: one or several lines `<job id> <seq> <type> <json>`, of
 * one job or of many. JSON has no newlines of its own.
 */
import type { JobEventType, LoggedEvent } from '@qarr/router-core';

export interface LiveEvent {
  readonly jobId: string;
  readonly event: LoggedEvent;
}

const NEWLINE = 10;

/**
 * The events of a message, in their order. Each is read by itself: as a part of one long text it would
 * keep all of that in memory as long as a reader has it.
 */
export function parseLiveMessage(message: Buffer): LiveEvent[] {
  const events: LiveEvent[] = [];
  for (let from = 0; from < message.length;) {
    const newline = message.indexOf(NEWLINE, from);
    const to = newline === -1 ? message.length : newline;
    events.push(parseLine(message.toString('utf8', from, to)));
    from = to + 1;
  }
  return events;
}

function parseLine(line: string): LiveEvent {
  const first = line.indexOf(' ');
  const second = line.indexOf(' ', first + 1);
  const third = line.indexOf(' ', second + 1);
  return {
    jobId: line.slice(0, first),
    event: {
      seq: Number(line.slice(first + 1, second)),
      type: line.slice(second + 1, third) as JobEventType,
      json: line.slice(third + 1),
    },
  };
}
