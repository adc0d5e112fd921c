import type { AnswerHead, AnswerShape, Choice } from './answer-shape.ts';

/** The answers of /v1/completions, field by field in vLLM's order. */
export function createCompletionShape(options: {
  head: AnswerHead;
  /** The prompt of each choice. */
  promptIdsOf: (index: number) => readonly number[];
  returnTokenIds: boolean;
  includeUsage: boolean;
}): AnswerShape {
  const { head, promptIdsOf, returnTokenIds } = options;
  const base = {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
  };
  const tokenIdsOf = (ids: readonly number[]) => (returnTokenIds ? ids : null);

  return {
    opening: () => [],
    chunk({ index, output, first, usage }) {
      const { finish } = output;
      const choice = {
        index,
        text: output.text,
        logprobs: null,
        finish_reason: finish?.reason ?? null,
        stop_reason: finish?.stopReason ?? null,
        prompt_token_ids: first ? tokenIdsOf(promptIdsOf(index)) : null,
        token_ids: tokenIdsOf(output.tokenIds),
      };
      const isLast = finish !== undefined && !options.includeUsage;
      return JSON.stringify({
        ...base,
        choices: [choice],
        ...(usage === undefined ? {} : { usage }),
        ...(isLast ? { system_fingerprint: head.systemFingerprint } : {}),
      });
    },
    usageChunk(usage) {
      const fingerprint = { system_fingerprint: head.systemFingerprint };
      return JSON.stringify({ ...base, choices: [], usage, ...fingerprint });
    },
    body(choices, usage) {
      return {
        ...base,
        choices: choices.map(bodyChoice),
        service_tier: null,
        system_fingerprint: head.systemFingerprint,
        usage: { ...usage, prompt_tokens_details: null },
        kv_transfer_params: null,
      };
    },
  };

  function bodyChoice(choice: Choice): object {
    return {
      index: choice.index,
      text: choice.text,
      logprobs: null,
      finish_reason: choice.finish.reason,
      stop_reason: choice.finish.stopReason,
      token_ids: tokenIdsOf(choice.tokenIds),
      prompt_logprobs: null,
      prompt_token_ids: tokenIdsOf(choice.promptIds),
    };
  }
}
