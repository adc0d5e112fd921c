/** The events with which the log of a job begins. */
import type { CachedAnswer, JobEvent, LoggedEvent, NewJob, QueuePlace } from '@qarr/router-core';

/** All of `queued` but its place and the last brace, for a script that knows the place. */
export function queuedHead({ tier, reasons }: NewJob): string {
  return JSON.stringify({ type: 'queued', tier, route: reasons }).slice(0, -1);
}

/** As `submit.lua` makes it of its head. */
export function queuedEvent(job: NewJob, { position, estimatedWaitMs }: QueuePlace): string {
  return `${queuedHead(job)},"position":${position},"estimated_wait_ms":${estimatedWaitMs}}`;
}

/** Empty for a job that is where it was routed. */
export function reroutedEvent({ tier, rerouted }: NewJob): string {
  if (rerouted === undefined) return '';
  return JSON.stringify({
    type: 'rerouted',
    from: rerouted.from,
    to: tier,
    reason: rerouted.reason,
  });
}

/** Of a job that is to wait. */
export function firstEvents(job: NewJob, queued: string): LoggedEvent[] {
  const rerouted = reroutedEvent(job);
  const first: LoggedEvent = { seq: 1, type: 'queued', json: queued };
  return rerouted === '' ? [first] : [first, { seq: 2, type: 'rerouted', json: rerouted }];
}

/** As if a worker had run it. */
export function answeredEvents({ tier }: NewJob, { result, usage }: CachedAnswer): string[] {
  const { text, reasoning, finish_reason } = result;
  const timings = { queue_wait_ms: 0, ttft_ms: 0, run_ms: 0 };
  const events: JobEvent[] = [
    { type: 'started', tier, worker: 'cache', attempt: 1 },
    { type: 'delta', text, ...(reasoning === undefined ? {} : { reasoning }) },
    { type: 'completed', finish_reason, usage, timings, cached: true },
  ];
  return events.map((event) => JSON.stringify(event));
}
