import type { AnswerHead, AnswerShape, Choice } from './answer-shape.ts';
import { usageOf } from './usage.ts';

/**
 * The answers of /v1/chat/completions, field by field in vLLM's order. It leaves out what was never
 * set and prints what was set to null (pydantic's exclude_unset).
 */
export function createChatShape(options: {
  head: AnswerHead;
  role: string;
  promptIds: readonly number[];
  choices: number;
  returnTokenIds: boolean;
  includeUsage: boolean;
  continuousUsage: boolean;
}): AnswerShape {
  const { head, role, promptIds, returnTokenIds } = options;
  const base = {
    id: head.id,
    object: 'chat.completion.chunk',
    created: head.created,
    model: head.model,
  };
  const tokenIdsOf = (ids: readonly number[]) => (returnTokenIds ? ids : null);

  function roleChunk(index: number): string {
    const usage = usageOf({ promptTokens: promptIds.length, completionTokens: 0 });
    const delta = { role, content: '' };
    return JSON.stringify({
      ...base,
      choices: [{ index, delta, logprobs: null, finish_reason: null }],
      ...(options.continuousUsage ? { usage } : {}),
      prompt_token_ids: tokenIdsOf(promptIds),
      prompt_text: null,
    });
  }

  return {
    opening() {
      return Array.from({ length: options.choices }, (_, index) => roleChunk(index));
    },
    chunk({ index, output, usage }) {
      const { finish } = output;
      const choice = {
        index,
        delta: { content: output.text },
        logprobs: null,
        finish_reason: finish?.reason ?? null,
        ...(finish === undefined ? {} : { stop_reason: finish.stopReason }),
        token_ids: tokenIdsOf(output.tokenIds),
      };
      // The fingerprint belongs to the last message: this one unless a usage chunk follows.
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
        object: 'chat.completion',
        choices: choices.map(bodyChoice),
        service_tier: null,
        system_fingerprint: head.systemFingerprint,
        usage: { ...usage, prompt_tokens_details: null },
        prompt_logprobs: null,
        prompt_token_ids: tokenIdsOf(promptIds),
        prompt_text: null,
        kv_transfer_params: null,
      };
    },
  };

  function bodyChoice(choice: Choice): object {
    return {
      index: choice.index,
      message: {
        role,
        content: choice.text,
        refusal: null,
        annotations: null,
        audio: null,
        function_call: null,
        reasoning: null,
      },
      logprobs: null,
      finish_reason: choice.finish.reason,
      stop_reason: choice.finish.stopReason,
      token_ids: tokenIdsOf(choice.tokenIds),
    };
  }
}
