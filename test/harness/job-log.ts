/** Reads a job's log straight from Redis, and checks what must hold for every log. */
import { isTerminalType, jobEventSchema } from '@qarr/router-core';
import type { JobEvent } from '@qarr/router-core';
import type { Redis } from 'ioredis';
import { expect } from 'vitest';

export async function readLog({
  redis,
  root,
  jobId,
}: {
  redis: Redis;
  root: string;
  jobId: string;
}): Promise<JobEvent[]> {
  const entries = await redis.xrange(`${root}:{${jobId}}:log`, '-', '+');
  const events = entries.map(([, fields]) => jobEventSchema.parse(JSON.parse(fields[3] ?? '')));
  // Numbered from 1 without a gap, and the type beside an event is its own.
  expect(entries.map(([id]) => id)).toEqual(entries.map((_, index) => `0-${index + 1}`));
  expect(entries.map(([, fields]) => fields[1])).toEqual(events.map((event) => event.type));
  return events;
}

/** The invariants of a log, finished or not. `isCarriedOn`: each attempt takes up the text before. */
export function checkLog(
  events: readonly JobEvent[],
  { isCarriedOn = false }: { isCarriedOn?: boolean } = {},
): void {
  expect(events[0]?.type).toBe('queued');
  const terminal = events.findIndex((event) => isTerminalType(event.type));
  if (terminal !== -1) expect(terminal).toBe(events.length - 1);
  const attempts = events.flatMap((event) => (event.type === 'started' ? [event.attempt] : []));
  expect(attempts).toEqual(attempts.map((_, index) => index + 1));
  for (const [index, event] of events.entries()) {
    // Text belongs to an attempt, and a new attempt that restarts voids the text of the one before.
    if (event.type === 'delta') expect(attemptsBefore(events, index)).toBeGreaterThan(0);
    if (isCarriedOn) expect(event.type).not.toBe('reset');
    else if (event.type === 'started' && hasOpenText(events.slice(0, index))) {
      expect(events[index - 1]?.type).toBe('reset');
    }
  }
}

/** The text that counts: the deltas since the last reset. */
export function textOf(events: readonly JobEvent[]): string {
  const from = events.findLastIndex((event) => event.type === 'reset') + 1;
  return events
    .slice(from)
    .map((event) => (event.type === 'delta' ? event.text : ''))
    .join('');
}

function attemptsBefore(events: readonly JobEvent[], index: number): number {
  return events.slice(0, index).filter((event) => event.type === 'started').length;
}

function hasOpenText(events: readonly JobEvent[]): boolean {
  const from = events.findLastIndex((event) => event.type === 'started') + 1;
  return events.slice(from).some((event) => event.type === 'delta');
}
