import type { Profile } from '../profiles.ts';

/**
 * How long a step takes, in milliseconds: a roofline. Reading the weights and computing the tokens
 * overlap, so the longer of the two counts; reading the KV cache comes on top. A small batch is
 * bound by memory, a large one or a prefill by arithmetic.
 */
export function stepCostMs(
  profile: Profile,
  step: { readonly tokensInStep: number; readonly kvTokens: number },
): number {
  const computeMs = step.tokensInStep * profile.tokenMs;
  const kvMs = (step.kvTokens / 1000) * profile.kvPerThousandTokensMs;
  return profile.overheadMs + Math.max(profile.weightsMs, computeMs) + kvMs;
}
