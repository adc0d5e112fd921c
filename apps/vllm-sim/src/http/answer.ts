import type { Sampling } from '../engine/generation.ts';
import type { AnswerShape } from '../protocol/answer-shape.ts';

/** One validated request, ready for the engine: a sequence per choice, and how to write them. */
export type Answer = {
  /** In the order of the choices' indexes. */
  readonly sequences: readonly { promptIds: readonly number[]; sampling: Sampling }[];
  /** Tokens of all prompts, each counted once however many choices it has. */
  readonly promptTokens: number;
  readonly shape: AnswerShape;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
};
