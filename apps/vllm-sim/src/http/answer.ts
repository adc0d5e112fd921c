import type { Sampling } from '../engine/generation.ts';
import type { Choices } from '../engine/sequence.ts';
import type { AnswerShape } from '../protocol/answer-shape.ts';
import type { RequestError } from '../protocol/request-error.ts';

/** One sequence of an answer, as the engine takes it. */
export type AnswerSequence = {
  readonly promptIds: readonly number[];
  readonly sampling: Sampling;
  /** Lower goes first, where the engine schedules by priority. */
  readonly priority: number;
  readonly cacheSalt?: string;
  /** The same for all choices of one prompt. */
  readonly request: Choices;
};

/** One validated request, ready for the engine: a sequence per choice, and how to write them. */
export type Answer = {
  readonly stream: boolean;
  /** In the order of the choices' indexes. */
  readonly sequences: readonly AnswerSequence[];
  /** Tokens of all prompts, each counted once however many choices it has. */
  readonly promptTokens: number;
  readonly shape: AnswerShape;
  /** What the engine says instead of taking it: a stream has begun by then. */
  readonly refusal?: RequestError | undefined;
};
