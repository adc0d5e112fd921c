/** The routes that generate: what is logged, and where faults happen unless a rule says otherwise. */
export const GENERATE_PATHS: readonly string[] = [
  '/v1/chat/completions',
  '/v1/completions',
  '/inference/v1/generate',
];
