/** What became of one request. Times are milliseconds since the epoch, by the monotonic clock. */
import type { Wish } from './mix.ts';

export interface Outcome {
  readonly wish: Wish;
  /** When the seed said that it comes: waiting times count from here, however late it was sent. */
  readonly dueMs: number;
  readonly sentMs: number;
  /** Of a refusal its whole answer, else the headers; null where none came. */
  readonly answeredMs: number | null;
  readonly firstTokenMs: number | null;
  readonly endedMs: number | null;
  /**
   * `open`: the experiment was over before it. `cut`: its stream broke off. `unanswered`: no answer
   * came at all. `not sent`: the load generator had no room for it.
   */
  readonly end:
    | 'done'
    | 'expired'
    | 'failed'
    | 'refused'
    | 'cut'
    | 'open'
    | 'unanswered'
    | 'not sent';
  readonly status: number | null;
  /** Of an error. */
  readonly code: string | null;
  /** Of a refusal, from `retry-after-ms`, or else from `Retry-After`. */
  readonly retryAfterMs: number | null;
  readonly jobId: string | null;
  /** As the answer's headers say. */
  readonly servedTier: string | null;
  readonly fallback: string | null;
  /** Times that it was moved while it waited. */
  readonly reroutes: number;
  /** Told at its admission, and what came of it. */
  readonly estimatedWaitMs: number | null;
  readonly queueWaitMs: number | null;
}

/** The same in every process of this machine, and never set back. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

export function isAdmitted({ end }: Outcome): boolean {
  return end !== 'refused' && end !== 'unanswered' && end !== 'not sent';
}
