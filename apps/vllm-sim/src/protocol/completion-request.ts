import { VOCABULARY_SIZE } from '../tokenizer.ts';
import type { Prompt } from './context-window.ts';
import { createFieldReader, isIntegers, isString, isStrings, type JsonObject } from './fields.ts';
import { badValue, bodyError } from './request-error.ts';
import { checkSamplingFields, readSamplingFields, type SamplingFields } from './sampling-fields.ts';
import { checkStreamFields, readStreamFields, type StreamFields } from './stream-fields.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** A validated body of POST /v1/completions. */
export type CompletionRequest = {
  readonly model: string | undefined;
  readonly prompts: readonly Prompt[];
  readonly tokensMax: number;
  readonly sampling: SamplingFields;
  readonly streaming: StreamFields;
  readonly returnTokenIds: boolean;
  readonly requestId: string | undefined;
};

/** vLLM's default on this route, for null too; on the chat route it is the rest of the window. */
const TOKENS_MAX_DEFAULT = 16;
/** vLLM's VLLM_MAX_COMPLETION_PROMPTS is configurable; this is enough for any test. */
const PROMPTS_MAX = 1024;

/** @throws RequestError as vLLM would refuse the body, or for what is not simulated */
export function parseCompletionRequest(body: JsonObject): CompletionRequest {
  const reader = createFieldReader(body);
  const prompts = readPrompts(reader.raw('prompt'));
  if (prompts === undefined) {
    const message = 'Input should be a string, a list of strings or a list of token ids';
    reader.reject('prompt', { type: 'list_type', message });
  }
  const request = {
    model: reader.string('model'),
    prompts: prompts ?? [],
    tokensMax: reader.integer('max_tokens') ?? TOKENS_MAX_DEFAULT,
    sampling: readSamplingFields(reader),
    streaming: readStreamFields(reader),
    returnTokenIds: reader.boolean('return_token_ids') ?? false,
    requestId: reader.string('request_id'),
  };
  reader.finish();

  checkStreamFields(reader);
  refuseUnsupported(body);
  checkPrompts(request.prompts);
  checkSamplingFields(request.sampling, reader);
  return request;
}

function readPrompts(value: unknown): readonly Prompt[] | undefined {
  if (value === undefined || value === null) return [];
  if (isString(value)) return [{ text: value }];
  if (!Array.isArray(value)) return undefined;
  if (value.length === 0) return [];
  if (isIntegers(value)) return [{ ids: value }];
  if (isStrings(value)) return value.map((text) => ({ text }));
  return value.every(isIntegers) ? value.map((ids) => ({ ids })) : undefined;
}

function checkPrompts(prompts: readonly Prompt[]): void {
  if (prompts.length === 0 || prompts.some((prompt) => prompt.text === '')) {
    throw bodyError({
      message: 'Either prompt or prompt_embeds must be provided and non-empty.',
      param: 'prompt',
    });
  }
  if (prompts.length > PROMPTS_MAX) {
    throw bodyError({
      message: `prompt list length ${prompts.length} exceeds the maximum allowed count of ${PROMPTS_MAX}. To increase this limit, set the VLLM_MAX_COMPLETION_PROMPTS environment variable.`,
      param: 'prompt',
    });
  }
  for (const { ids } of prompts) {
    if (ids?.length === 0) throw badValue({ message: 'The decoder prompt cannot be empty' });
    const unknown = ids?.find((id) => id < 0 || id >= VOCABULARY_SIZE);
    if (unknown !== undefined) {
      throw badValue({ message: `Token id ${unknown} is out of vocabulary` });
    }
  }
}
