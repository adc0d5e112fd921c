/** What an engine can do beyond the plain protocol. Learnt, never assumed: see `upstream/learn.ts`. */
export interface Capabilities {
  /** It takes `stream_options.include_usage`. */
  readonly countsAtTheEnd: boolean;
  /** It takes `continuous_usage_stats`, so that a broken answer's tokens are known. */
  readonly countsContinuously: boolean;
  /** It takes `return_token_ids`, and ids as the prompt of `/v1/completions`. */
  readonly tokenIds: boolean;
  /** It takes `continue_final_message`. */
  readonly continuesText: boolean;
  /** It sends the text that it shall continue back at the beginning, as vLLM before 0.6.5. */
  readonly echoesContinued: boolean;
  /** It has `/tokenize` and `/detokenize`. */
  readonly tokenizes: boolean;
}

/** Of an engine of which nothing is known. */
export const NO_CAPABILITIES: Capabilities = {
  countsAtTheEnd: true,
  countsContinuously: false,
  tokenIds: false,
  continuesText: false,
  echoesContinued: false,
  tokenizes: false,
};
