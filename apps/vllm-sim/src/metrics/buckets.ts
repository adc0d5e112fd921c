/**
 * Upper bounds of vLLM's histograms (v1/metrics/loggers.py; engine/metrics.py at 0.6.4). A list
 * serves both: the older version has those up to a `..._V0_MAX`, and its iteration sizes end with
 * 8096, not 8192 and more.
 */
export const TIME_TO_FIRST_TOKEN_BUCKETS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
];
export const TIME_TO_FIRST_TOKEN_V0_MAX = 10;

export const INTER_TOKEN_LATENCY_BUCKETS = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
];
export const INTER_TOKEN_LATENCY_V0_MAX = 2.5;

export const REQUEST_LATENCY_BUCKETS = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
];
export const REQUEST_LATENCY_V0_MAX = 60;

export const CHOICES_BUCKETS = [1, 2, 5, 10, 20];

const ITERATION_TOKENS_SMALL = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];
export const ITERATION_TOKENS_V0 = [...ITERATION_TOKENS_SMALL, 8096];
export const ITERATION_TOKENS_V1 = [...ITERATION_TOKENS_SMALL, 8192, 16_384];

/** 1, 2, 5, 10, 20, 50 ... up to `max` (vLLM's build_1_2_5_buckets). */
export function oneTwoFiveBuckets(max: number): readonly number[] {
  const bounds: number[] = [];
  for (let power = 1; power <= max; power *= 10) {
    bounds.push(...[1, 2, 5].map((digit) => digit * power).filter((bound) => bound <= max));
  }
  return bounds;
}
