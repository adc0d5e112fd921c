import type { Finish, Output } from '../engine/generation.ts';
import type { Persona } from '../personas.ts';
import type { TokenLogprobs } from '../text/token-logprobs.ts';
import type { Usage } from './usage.ts';

/** What every chunk and body of one answer repeats. */
export type AnswerHead = {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  readonly persona: Persona;
};

/** One choice of an answer that is sent at once. */
export type Choice = {
  readonly index: number;
  readonly promptIds: readonly number[];
  readonly tokenIds: readonly number[];
  readonly text: string;
  readonly logprobs: readonly TokenLogprobs[];
  readonly finish: Finish;
};

/** One output of a choice, on its way into chunks. */
export type Delta = {
  readonly index: number;
  readonly output: Output;
  /** The first one of this choice. */
  readonly first: boolean;
  /** Of this choice up to here. */
  readonly usage: Usage;
};

/** How the routes differ on the wire. Chunks are JSON texts without the SSE framing. */
export type AnswerShape = {
  /** Sent once before the first output of any choice: chat's role chunks. */
  opening(): readonly string[];
  /** One output makes one chunk, or none, or several. */
  chunks(delta: Delta): readonly string[];
  /** What comes after the last chunk of a stream that ended well. */
  closing(usage: Usage): readonly string[];
  /** The whole answer of a request that is not streamed. */
  body(choices: readonly Choice[], usage: Usage): object;
};

/** What a stream of vLLM's says last, also after an error. */
export const DONE = '[DONE]';
