/**
 * What is published to those who follow jobs: one or several lines `<job id> <seq> <type> <json>`, of
 * one job or of many. JSON has no newlines of its own.
 */
import type { JobEventType, LoggedEvent } from '@qarr/router-core';

export interface LiveEvent {
  readonly jobId: string;
  readonly event: LoggedEvent;
}

/** The events of a message, in their order. */
export function parseLiveMessage(message: string): LiveEvent[] {
  return message.split('\n').map(parseLine);
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
