import type { Generation, Output } from './generation.ts';

/**
 * One sequence in the engine.
 *
 * Its progress is counted as vLLM's scheduler counts it: `computedTokens` of the
 * `promptTokens + generatedTokens` known ones are in the KV cache, and a step that computes the
 * last known one yields the next. Prefill, decode and recomputation are all that one rule.
 */
export type Sequence = {
  readonly promptTokens: number;
  readonly generation: Generation;
  /** Receives every output, the last one with `finish`. Not called after an abort by the client. */
  readonly onOutput: (output: Output) => void;
  readonly arrivedAtMs: number;
  generatedTokens: number;
  computedTokens: number;
  lastTokenAtMs: number | undefined;
  /** Finished or aborted: the next step forgets it and its KV blocks. */
  over: boolean;
};

/** Tokens still to be computed before the sequence yields its next one. */
export function tokensToCompute(sequence: Progress): number {
  return sequence.promptTokens + sequence.generatedTokens - sequence.computedTokens;
}

export type Progress = Readonly<
  Pick<Sequence, 'promptTokens' | 'generatedTokens' | 'computedTokens'>
>;
