/**
 * What a card and a precision cost, for a dense model of 8 billion parameters.
 *
 * The times are estimates from bandwidth and arithmetic, not measurements: a step reads the weights
 * once (bytes / memory bandwidth), computes 16 GFLOP per token, and reads 128 KiB of KV cache per
 * token of context. They agree in order with the latency tables of llm-d-inference-sim
 * (docs/latency-profiles.md).
 */
export type Profile = {
  readonly name: string;
  /** Fixed cost of a step: scheduling, sampling, launching kernels. */
  readonly overheadMs: number;
  /** Reading all weights once. */
  readonly weightsMs: number;
  /** Computing one token. */
  readonly tokenMs: number;
  /** Reading the KV cache of 1000 tokens of context. */
  readonly kvPerThousandTokensMs: number;
  /**
   * Tokens that fit the KV cache: (0.92 of the card's memory - weights - about 1.6 GB of working
   * memory) / 128 KiB.
   */
  readonly kvTokensMax: number;
  /**
   * vLLM's defaults for the API server (engine/arg_utils.py, get_batch_defaults): from 70 GiB on,
   * except A100, 8192 tokens and 1024 sequences in a step; below 2048 and 256.
   */
  readonly batchedTokensMax: number;
  readonly sequencesMax: number;
};

const PROFILES: readonly Profile[] = [
  // AWQ int4 on a 24 GB Ada card. Fast alone; Marlin's dequantisation makes each token dear in a batch.
  {
    name: 'awq-24gb',
    overheadMs: 3,
    weightsMs: 5.7,
    tokenMs: 0.22,
    kvPerThousandTokensMs: 0.13,
    kvTokensMax: 118_000,
    batchedTokensMax: 2048,
    sequencesMax: 256,
  },
  // L40S, 864 GB/s.
  {
    name: 'fp8-l40s',
    overheadMs: 3,
    weightsMs: 9.5,
    tokenMs: 0.09,
    kvPerThousandTokensMs: 0.15,
    kvTokensMax: 263_000,
    batchedTokensMax: 2048,
    sequencesMax: 256,
  },
  {
    name: 'bf16-l40s',
    overheadMs: 3,
    weightsMs: 18.5,
    tokenMs: 0.18,
    kvPerThousandTokensMs: 0.15,
    kvTokensMax: 202_000,
    batchedTokensMax: 2048,
    sequencesMax: 256,
  },
  // A100 80 GB, 2.0 TB/s.
  {
    name: 'a100-bf16',
    overheadMs: 3,
    weightsMs: 8,
    tokenMs: 0.1,
    kvPerThousandTokensMs: 0.066,
    kvTokensMax: 427_000,
    batchedTokensMax: 2048,
    sequencesMax: 256,
  },
  // H100 80 GB SXM, 3.35 TB/s.
  {
    name: 'h100-fp8',
    overheadMs: 2.5,
    weightsMs: 2.6,
    tokenMs: 0.02,
    kvPerThousandTokensMs: 0.04,
    kvTokensMax: 488_000,
    batchedTokensMax: 8192,
    sequencesMax: 1024,
  },
  {
    name: 'h100-bf16',
    overheadMs: 2.5,
    weightsMs: 4.8,
    tokenMs: 0.036,
    kvPerThousandTokensMs: 0.04,
    kvTokensMax: 427_000,
    batchedTokensMax: 8192,
    sequencesMax: 1024,
  },
  // No card: a step costs one turn of the event loop. For tests of everything but time.
  {
    name: 'instant',
    overheadMs: 0,
    weightsMs: 0,
    tokenMs: 0,
    kvPerThousandTokensMs: 0,
    kvTokensMax: 427_000,
    batchedTokensMax: 8192,
    sequencesMax: 256,
  },
];

export const PROFILE_NAMES = PROFILES.map((profile) => profile.name);

export function findProfile(name: string): Profile | undefined {
  return PROFILES.find((profile) => profile.name === name);
}
