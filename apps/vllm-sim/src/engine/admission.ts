import type { RejectionReason } from '../metrics/engine-metrics.ts';

/** vLLM's limits at the door since 0.29; undefined is no limit, which is the default. */
export type AdmissionLimits = {
  /** Choices in the engine, waiting or running: `--max-num-queued-reqs`. */
  readonly queuedRequestsMax: number | undefined;
  /** Prompt tokens of those without a first token: `--max-num-queued-tokens`. */
  readonly queuedTokensMax: number | undefined;
};

export type Admission = { kind: 'admitted' } | { kind: 'refused'; reason: RejectionReason };

/**
 * Whether a request of so many choices may enter (vLLM's AsyncLLM.check_admission, PR #49445). It
 * enters whole or not at all. The check comes before the prompt is tokenized, so its own tokens do
 * not count, and an idle engine takes any prompt; this last point was read in descriptions of the
 * change, not in its source.
 */
export function checkAdmission(
  limits: AdmissionLimits,
  load: { sequences: number; prefillTokens: number },
  request: { choices: number },
): Admission {
  const { queuedRequestsMax = Infinity, queuedTokensMax = Infinity } = limits;
  if (load.sequences + request.choices > queuedRequestsMax) {
    return { kind: 'refused', reason: 'max_num_queued_reqs' };
  }
  if (load.prefillTokens >= queuedTokensMax) {
    return { kind: 'refused', reason: 'max_num_queued_tokens' };
  }
  return { kind: 'admitted' };
}
