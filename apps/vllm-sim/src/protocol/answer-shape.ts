import type { Finish, Output } from '../engine/generation.ts';
import type { Usage } from './usage.ts';

/** What every chunk and body of one answer repeats. */
export type AnswerHead = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  readonly systemFingerprint: string;
};

/** One choice of an answer that is sent at once. */
export type Choice = {
  readonly index: number;
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
  readonly finish: Finish;
};

/** How chat and completions differ on the wire. Chunks are JSON texts without the SSE framing. */
export type AnswerShape = {
  /** Sent once before the first output of any choice: chat's role chunks. */
  opening(): string[];
  chunk(choice: {
    index: number;
    output: Output;
    /** The first chunk of this choice. */
    first: boolean;
    /** Usage so far, for `continuous_usage_stats`. */
    usage: Usage | undefined;
  }): string;
  usageChunk(usage: Usage): string;
  /** The whole answer of a request that is not streamed. */
  body(choices: readonly Choice[], usage: Usage): object;
};
