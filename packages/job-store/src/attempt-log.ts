/** What a worker writes of an attempt, as whoever runs it sees it; `event-log.ts` writes it. */
import type { JobResult, TerminalEvent } from '@qarr/router-core';
import type { Lasting } from './closing.ts';
import type { AnswerDelta } from './delta-buffer.ts';

/** Why an attempt must stop: its job shall be cancelled, or another attempt has taken over. */
export type StopReason = 'cancel' | 'superseded';
export type WriteOutcome = 'ok' | StopReason;

export interface Ending {
  readonly event: TerminalEvent;
  readonly result?: JobResult;
}

/**
 * What giving a job back takes from it: one of its tries, one of the few attempts that are spared
 * because no engine ever took the request, or nothing.
 */
export type Burns = 'try' | 'spare' | 'nothing';

export interface AttemptLog {
  /**
   * Tokens that this and earlier attempts have made, as far as their ids were told; null where they
   * were not.
   */
  readonly tokensMade: number | null;
  /** Adds to the answer. Returns at once. */
  append(delta: AnswerDelta): void;
  /** Ends the job, after everything that was appended. */
  finish(ending: Ending): Promise<WriteOutcome>;
  /**
   * Gives the job back to its queue, after everything that was appended. `tokensMade`: where somebody
   * knows better than the ids tell.
   */
  requeue(options: { burns: Burns; tokensMade?: number | null }): Promise<WriteOutcome>;
}

export interface EventLog {
  openAttempt(options: {
    job: Lasting;
    attempt: number;
    /** Of its claim. */
    token: string;
    nextSeq: number;
    /** By earlier attempts; null where nobody knows. */
    tokensBefore: number | null;
    /** Called at most once, from a write that was refused or that carried a cancel request. */
    onStop: (reason: StopReason) => void;
  }): AttemptLog;
}
