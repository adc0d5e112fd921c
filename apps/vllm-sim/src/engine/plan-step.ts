import { type Progress, tokensToCompute } from './sequence.ts';

export type StepLimits = {
  /** Sequences in one step. */
  readonly sequencesMax: number;
  /** Tokens computed in one step, over all sequences. */
  readonly batchedTokensMax: number;
};

export type StepPlan<S extends Progress> = {
  /** What the step computes: running sequences first, then the admitted ones. */
  readonly work: readonly { sequence: S; tokens: number }[];
  /** How many leave the head of the waiting queue. */
  readonly admitted: number;
  readonly tokensInStep: number;
  /** Tokens of context whose KV cache the step reads. */
  readonly kvTokens: number;
};

/**
 * What the next step does, by the rules of vLLM's v1/core/sched/scheduler.py: running sequences
 * first, each with all it has to compute (one token in decode, a chunk of the prompt in prefill);
 * then waiting ones, first come first served, while there is a place and token budget. A prompt
 * larger than the rest of the budget is prefilled in chunks over several steps.
 */
export function planStep<S extends Progress>(
  queues: { readonly running: readonly S[]; readonly waiting: readonly S[] },
  limits: StepLimits,
): StepPlan<S> {
  const work: { sequence: S; tokens: number }[] = [];
  let budget = limits.batchedTokensMax;
  let kvTokens = 0;

  function schedule(sequence: S): void {
    const tokens = Math.min(tokensToCompute(sequence), budget);
    if (tokens === 0) return;
    work.push({ sequence, tokens });
    budget -= tokens;
    kvTokens += sequence.computedTokens;
  }

  for (const sequence of queues.running) schedule(sequence);

  const places = limits.sequencesMax - queues.running.length;
  let admitted = 0;
  for (const sequence of queues.waiting) {
    if (admitted >= places || budget === 0) break;
    schedule(sequence);
    admitted += 1;
  }

  return { work, admitted, tokensInStep: limits.batchedTokensMax - budget, kvTokens };
}
