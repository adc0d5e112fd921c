/** What a run has seen, before anything is concluded from it. Times are the checker's own clock. */
import type { Line } from './input.ts';
import type { SeenRun } from './witness.ts';

/** As the API gives it, as far as it is looked at. */
export interface BatchSeen {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly request_counts: { total: number; completed: number; failed: number };
  readonly usage: { input_tokens: number; output_tokens: number; total_tokens: number } | null;
}

export interface Poll {
  readonly atMs: number;
  readonly status: string;
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

export interface FileSeen {
  /** As its record says. */
  readonly bytes: number;
  readonly contentBytes: number;
  readonly sha256: string;
  readonly lines: number;
}

/** Null where the batch names none. */
export interface FilesSeen {
  readonly output: FileSeen | null;
  readonly error: FileSeen | null;
}

/** A line of the output or the error file. */
export interface OutcomeLine {
  readonly customId: string;
  readonly file: 'output' | 'error';
  readonly status: number | null;
  readonly code: string | null;
  readonly tier: string | null;
  readonly text: string | null;
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export interface Kill {
  readonly kind: 'api' | 'runner' | 'worker' | 'redis';
  readonly name: string;
  readonly atMs: number;
  /** When it was there again. */
  readonly backMs: number;
}

export interface StreamSeen {
  readonly fromMs: number;
  readonly firstMs: number | null;
  readonly toMs: number;
  readonly end: string;
  readonly text: string;
  /** What an undisturbed engine says; null where nobody asked. */
  readonly expected: string | null;
  /** Of its events: numbered from 1 without a gap. */
  readonly isGapless: boolean;
  /** Null where no replica took it. */
  readonly jobId: string | null;
  /** Of each attempt, the worker. */
  readonly workers: readonly string[];
  /** Attempts that began the text anew. */
  readonly resets: number;
}

export interface Evidence {
  readonly lines: readonly Line[];
  readonly batch: BatchSeen;
  readonly polls: readonly Poll[];
  /** In the moment in which `completed` was first seen. */
  readonly atEnd: FilesSeen;
  /** When all was quiet again. */
  readonly later: FilesSeen;
  readonly outcomes: readonly OutcomeLine[];
  /** As `/results` gives them, page by page. */
  readonly results: readonly string[];
  /** At the engines, by the number of the line. */
  readonly runs: ReadonlyMap<number, readonly SeenRun[]>;
  readonly kills: readonly Kill[];
  readonly streams: readonly StreamSeen[];
  /** By custom id: what an undisturbed engine answers, of those that were compared. */
  readonly undisturbed: ReadonlyMap<string, string>;
}
