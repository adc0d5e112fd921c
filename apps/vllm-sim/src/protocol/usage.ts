/** Token counts in the order in which vLLM prints them. */
export type Usage = { prompt_tokens: number; total_tokens: number; completion_tokens: number };

export function usageOf(counts: { promptTokens: number; completionTokens: number }): Usage {
  return {
    prompt_tokens: counts.promptTokens,
    total_tokens: counts.promptTokens + counts.completionTokens,
    completion_tokens: counts.completionTokens,
  };
}
