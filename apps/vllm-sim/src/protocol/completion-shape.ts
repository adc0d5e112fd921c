import { promptLogprobsOf } from '../text/token-logprobs.ts';
import { decode } from '../tokenizer.ts';
import {
  type AnswerHead,
  type AnswerShape,
  type Choice,
  type Delta,
  DONE,
} from './answer-shape.ts';
import { completionLogprobs, rivalsOf } from './logprobs.ts';

/** The answers of /v1/completions, field by field in vLLM's order. */
export function createCompletionShape(options: {
  head: AnswerHead;
  /** The prompt of each choice, and what its text depends on beside it. */
  sequenceOf: (index: number) => { promptIds: readonly number[]; seeds: readonly number[] };
  echo: 'no' | 'before_text' | 'instead_of_text';
  topLogprobs: number | undefined;
  returnTokenIds: boolean;
  includeUsage: boolean;
  continuousUsage: boolean;
}): AnswerShape {
  const { head, sequenceOf, echo, topLogprobs, returnTokenIds } = options;
  const { persona } = head;
  const base = {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: head.model,
  };
  const fingerprint =
    persona.systemFingerprint === undefined
      ? {}
      : { system_fingerprint: persona.systemFingerprint };
  const textLengths = new Map<number, number>();

  /** The prompt as text; whoever asks for token ids has it already. */
  function echoTextOf(index: number): string {
    return echo === 'no' || returnTokenIds ? '' : decode(sequenceOf(index).promptIds);
  }

  function textOf(index: number, part: { text: string; first: boolean }): string {
    const own = echo === 'instead_of_text' ? '' : part.text;
    return part.first ? echoTextOf(index) + own : own;
  }

  function logprobsOf(
    index: number,
    part: { logprobs: Choice['logprobs']; first: boolean; offset: number },
  ): object | null {
    if (topLogprobs === undefined) return null;
    const own = echo === 'instead_of_text' ? [] : part.logprobs;
    if (echo === 'no' || !part.first) return completionLogprobs(own, part.offset);
    const { promptIds, seeds } = sequenceOf(index);
    const rivals = rivalsOf(topLogprobs) ?? 0;
    const rest = promptLogprobsOf({ promptIds, seeds, rivals });
    return completionLogprobs([{ onlyId: promptIds[0] ?? 0 }, ...rest, ...own], part.offset);
  }

  function usageField({ usage }: Delta): object {
    if (options.continuousUsage) return { usage };
    return options.includeUsage && persona.streamOptions.nullUsage ? { usage: null } : {};
  }

  return {
    opening: () => [],
    chunks(delta) {
      const { index, output, first } = delta;
      const { finish } = output;
      const offset = textLengths.get(index) ?? 0;
      const text = textOf(index, { text: output.text, first });
      textLengths.set(index, offset + text.length);
      const ids = {
        prompt_token_ids: first && returnTokenIds ? sequenceOf(index).promptIds : null,
        token_ids: returnTokenIds ? output.tokenIds : null,
      };
      const choice = {
        index,
        text,
        logprobs: logprobsOf(index, { logprobs: output.logprobs ?? [], first, offset }),
        finish_reason: finish?.reason ?? null,
        stop_reason: finish?.stopReason ?? null,
        ...(persona.tokenIds ? ids : {}),
      };
      const isLast = finish !== undefined && !options.includeUsage;
      const chunk = {
        ...base,
        choices: [choice],
        ...usageField(delta),
        ...(isLast ? fingerprint : {}),
      };
      return [JSON.stringify(chunk)];
    },
    closing(usage) {
      const usageChunk = JSON.stringify({ ...base, choices: [], usage, ...fingerprint });
      return options.includeUsage ? [usageChunk, DONE] : [DONE];
    },
    body(choices, usage) {
      return {
        ...base,
        choices: choices.map(bodyChoice),
        ...(persona.systemFingerprint === undefined ? {} : { service_tier: null, ...fingerprint }),
        usage: { ...usage, prompt_tokens_details: null },
        ...(persona.tokenIds ? { kv_transfer_params: null } : {}),
      };
    },
  };

  function bodyChoice({ index, text, logprobs, finish, tokenIds, promptIds }: Choice): object {
    const ids = {
      token_ids: returnTokenIds ? tokenIds : null,
      prompt_logprobs: null,
      prompt_token_ids: returnTokenIds ? promptIds : null,
    };
    return {
      index,
      text: textOf(index, { text, first: true }),
      logprobs: logprobsOf(index, { logprobs, first: true, offset: 0 }),
      finish_reason: finish.reason,
      stop_reason: finish.stopReason,
      ...(persona.tokenIds ? ids : { prompt_logprobs: null }),
    };
  }
}
