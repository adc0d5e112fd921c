/** What one step does. */
export type StepPlan<S> = {
  /** What the step computes: running sequences first, then the admitted ones. */
  readonly work: readonly Work<S>[];
  readonly admitted: readonly Admission<S>[];
  /** Those that lost their blocks and wait again. */
  readonly preempted: readonly S[];
  readonly tokensInStep: number;
  /** Tokens of context whose KV cache the step reads. */
  readonly kvTokens: number;
};

type Work<S> = { readonly sequence: S; readonly tokens: number };
type Admission<S> = { readonly sequence: S; readonly cachedTokens: number };

/** A plan while it is being made. */
export type StepDraft<S> = {
  /** Tokens that the step may still compute. */
  budget(): number;
  schedule(sequence: S, tokens: number): void;
  admit(sequence: S, cachedTokens: number): void;
  /** Takes the sequence off the work too, where it was scheduled already. Before it is reset. */
  preempt(sequence: S): void;
  preemptions(): number;
  plan(): StepPlan<S>;
};

export function createStepDraft<S extends { readonly computedTokens: number }>(
  batchedTokensMax: number,
): StepDraft<S> {
  let work: Work<S>[] = [];
  const admitted: Admission<S>[] = [];
  const preempted: S[] = [];
  let budget = batchedTokensMax;
  let kvTokens = 0;

  return {
    budget: () => budget,
    schedule(sequence, tokens) {
      work.push({ sequence, tokens });
      budget -= tokens;
      kvTokens += sequence.computedTokens;
    },
    admit(sequence, cachedTokens) {
      admitted.push({ sequence, cachedTokens });
    },
    preempt(sequence) {
      preempted.push(sequence);
      const scheduled = work.find((each) => each.sequence === sequence);
      if (scheduled === undefined) return;
      budget += scheduled.tokens;
      kvTokens -= sequence.computedTokens;
      work = work.filter((each) => each !== scheduled);
    },
    preemptions: () => preempted.length,
    plan: () => ({
      work,
      admitted,
      preempted,
      tokensInStep: batchedTokensMax - budget,
      kvTokens,
    }),
  };
}
