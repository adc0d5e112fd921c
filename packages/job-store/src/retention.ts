import { jobError } from '@qarr/router-core';
import type { ErrorCode, TerminalEvent } from '@qarr/router-core';

/** How long a finished job is kept. An unfinished one is kept without limit. */
export interface Retention {
  /** The record with its result, in milliseconds. */
  readonly resultMs: number;
  /** The log of events, in milliseconds. */
  readonly logMs: number;
}

export const DEFAULT_RETENTION: Retention = { resultMs: 24 * 3_600_000, logMs: 3_600_000 };

/** The terminal events that scripts write by themselves, when they find that they are due. */
export const DUE_EVENTS = {
  expired: json({ type: 'expired', error: jobError('queue_timeout'), usage: null, timings: null }),
  cancelledUnrun: json({ type: 'cancelled', ran: false, tokens: 0, usage: null, timings: null }),
  cancelledAfterRun: json({
    type: 'cancelled',
    ran: true,
    tokens: null,
    usage: null,
    timings: null,
  }),
  ranTooLong: failed('run_timeout'),
  poison: failed('poison'),
  workerLost: failed('worker_lost'),
} as const;

function failed(code: ErrorCode): string {
  return json({ type: 'failed', error: jobError(code), usage: null, timings: null });
}

function json(event: TerminalEvent): string {
  return JSON.stringify(event);
}
