import type { AnswerShape, Choice } from './answer-shape.ts';
import type { ChatShapeOptions } from './chat-shape.ts';
import { chatLogprobs } from './logprobs.ts';
import { wholeToolCall } from './tool-deltas.ts';

/** The answer of /v1/chat/completions in one piece: vLLM prints every field of it. */
export function createChatBody(
  options: ChatShapeOptions & { finishReasonOf: (reason: string, called: boolean) => string },
): AnswerShape['body'] {
  const { head, role, promptIds, returnTokenIds, toolCall, topLogprobs } = options;
  const { persona } = head;

  return (choices, usage) => ({
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: head.model,
    choices: choices.map(bodyChoice),
    ...(persona.systemFingerprint === undefined
      ? {}
      : { service_tier: null, system_fingerprint: persona.systemFingerprint }),
    usage: { ...usage, prompt_tokens_details: null },
    prompt_logprobs: null,
    ...(persona.tokenIds
      ? {
          prompt_token_ids: returnTokenIds ? promptIds : null,
          prompt_text: null,
          kv_transfer_params: null,
        }
      : {}),
  });

  function bodyChoice(choice: Choice): object {
    const call =
      toolCall &&
      wholeToolCall(toolCall, { text: choice.text, idDigits: persona.toolCallIdDigits });
    return {
      index: choice.index,
      message: persona.tokenIds ? message(choice, call) : oldMessage(choice, call),
      logprobs: topLogprobs === undefined ? null : chatLogprobs(choice.logprobs, topLogprobs),
      finish_reason: options.finishReasonOf(choice.finish.reason, call !== undefined),
      stop_reason: choice.finish.stopReason,
      ...(persona.tokenIds ? { token_ids: returnTokenIds ? choice.tokenIds : null } : {}),
    };
  }

  function message(choice: Choice, call: object | undefined): object {
    return {
      role,
      content: contentOf(choice, call),
      refusal: null,
      annotations: null,
      audio: null,
      function_call: null,
      ...(call === undefined ? {} : { tool_calls: [call] }),
      reasoning: null,
    };
  }

  /** vLLM 0.6.4 has no more in a message, and an empty list where no tool was called. */
  function oldMessage(choice: Choice, call: object | undefined): object {
    const toolCalls = call === undefined ? [] : [call];
    return { role, content: contentOf(choice, call), tool_calls: toolCalls };
  }

  /** Beside a call, an open choice has no content and a forced one an empty string. */
  function contentOf(choice: Choice, call: object | undefined): string | null {
    if (call === undefined) return options.echoText + choice.text;
    return toolCall?.asked === 'auto' ? null : '';
  }
}
