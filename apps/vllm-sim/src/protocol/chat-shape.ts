import type { Output } from '../engine/generation.ts';
import { type AnswerHead, type AnswerShape, type Delta, DONE } from './answer-shape.ts';
import { createChatBody } from './chat-body.ts';
import { chatLogprobs } from './logprobs.ts';
import { createToolDeltas, type ToolDeltas } from './tool-deltas.ts';
import type { ToolCall } from './tools.ts';
import { type Usage, usageOf } from './usage.ts';

export type ChatShapeOptions = {
  readonly head: AnswerHead;
  readonly role: string;
  readonly echoText: string;
  readonly promptIds: readonly number[];
  readonly choices: number;
  readonly toolCall: ToolCall | undefined;
  readonly topLogprobs: number | undefined;
  readonly returnTokenIds: boolean;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
};

/**
 * The answers of /v1/chat/completions, field by field in vLLM's order. It leaves out what was never
 * set and prints what was set to null (pydantic's exclude_unset).
 */
export function createChatShape(options: ChatShapeOptions): AnswerShape {
  const { head, promptIds, returnTokenIds, topLogprobs, toolCall } = options;
  const { persona } = head;
  const base = {
    id: head.id,
    object: 'chat.completion.chunk',
    created: head.created,
    model: head.model,
  };
  const fingerprint =
    persona.systemFingerprint === undefined
      ? {}
      : { system_fingerprint: persona.systemFingerprint };
  const toolDeltas = new Map<number, ToolDeltas>();

  function usageField(usage: Usage): object {
    if (options.continuousUsage) return { usage };
    return options.includeUsage && persona.streamOptions.nullUsage ? { usage: null } : {};
  }

  /** What stands before the first token: who speaks, and the text that the answer repeats. */
  function openingChunks(index: number): string[] {
    const usage = usageField(usageOf({ promptTokens: promptIds.length, completionTokens: 0 }));
    const openingChunk = (delta: object, extras: object) =>
      JSON.stringify({
        ...base,
        choices: [{ index, delta, logprobs: null, finish_reason: null }],
        ...usage,
        ...extras,
      });
    const ids = { prompt_token_ids: returnTokenIds ? promptIds : null, prompt_text: null };
    const role = openingChunk({ role: options.role, content: '' }, persona.tokenIds ? ids : {});
    return options.echoText === ''
      ? [role]
      : [role, openingChunk({ content: options.echoText }, {})];
  }

  function logprobsOf(output: Output): object | null {
    return topLogprobs === undefined ? null : chatLogprobs(output.logprobs ?? [], topLogprobs);
  }

  /** What one output becomes: text as it is, a tool call taken apart. */
  function deltasOf({ index, output }: Delta): readonly object[] {
    if (toolCall === undefined) return [{ content: output.text }];
    const reader = toolDeltas.get(index) ?? createToolDeltas(toolCall, persona.toolCallIdDigits);
    toolDeltas.set(index, reader);
    const deltas = reader.push(output.text);
    if (deltas.length > 0) return deltas;
    // A token of the markup is sent only for what it carries beside its text.
    const carries = output.finish !== undefined || returnTokenIds || topLogprobs !== undefined;
    return carries ? [{}] : [];
  }

  function finishReason(index: number, reason: string): string {
    const called = toolDeltas.get(index)?.called === true;
    return called && toolCall?.asked !== 'named' && reason === 'stop' ? 'tool_calls' : reason;
  }

  function chunk({ index, output, usage }: Delta, delta: object, last: boolean): string {
    const finish = last ? output.finish : undefined;
    const choice = {
      index,
      delta,
      logprobs: logprobsOf(output),
      finish_reason: finish === undefined ? null : finishReason(index, finish.reason),
      ...(finish === undefined ? {} : { stop_reason: finish.stopReason }),
      ...(persona.tokenIds ? { token_ids: returnTokenIds ? output.tokenIds : null } : {}),
    };
    // The fingerprint belongs to the last message: this one unless a usage chunk follows.
    const isLast = finish !== undefined && !options.includeUsage;
    return JSON.stringify({
      ...base,
      choices: [choice],
      ...usageField(usage),
      ...(isLast ? fingerprint : {}),
    });
  }

  return {
    opening() {
      return Array.from({ length: options.choices }, (_, index) => openingChunks(index)).flat();
    },
    chunks(delta) {
      const deltas = deltasOf(delta);
      const { tokenIds: _ids, logprobs: _logprobs, ...rest } = delta.output;
      // Several deltas of one output: its tokens are told once.
      const later = { ...delta, output: { ...rest, tokenIds: [] } };
      return deltas.map((each, at) =>
        chunk(at === 0 ? delta : later, each, at === deltas.length - 1),
      );
    },
    closing(usage) {
      const usageChunk = JSON.stringify({ ...base, choices: [], usage, ...fingerprint });
      return options.includeUsage ? [usageChunk, DONE] : [DONE];
    },
    body: createChatBody({ ...options, finishReasonOf: bodyFinishReason }),
  };

  /** Without a stream an open choice that called a tool says so even where the limit cut it. */
  function bodyFinishReason(reason: string, called: boolean): string {
    if (!called || toolCall === undefined || toolCall.asked === 'named') return reason;
    return toolCall.asked === 'auto' || reason === 'stop' ? 'tool_calls' : reason;
  }
}
