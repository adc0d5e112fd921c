import type { Persona } from '../personas.ts';
import type { Script } from '../text/script.ts';
import { VOCABULARY_SIZE } from '../tokenizer.ts';
import type { Prompt } from './context-window.ts';
import { createFieldReader, isIntegers, isString, isStrings, type JsonObject } from './fields.ts';
import { heededBody, rejectUnknownFields } from './known-fields.ts';
import { readCompletionLogprobs } from './logprob-fields.ts';
import { badValue, bodyError } from './request-error.ts';
import { checkSamplingFields, readSamplingFields, type SamplingFields } from './sampling-fields.ts';
import { readSchedulingFields, type SchedulingFields } from './scheduling-fields.ts';
import { checkStreamFields, readStreamFields, type StreamFields } from './stream-fields.ts';
import { readStructuredOutput } from './structured-output.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** A validated body of POST /v1/completions. */
export type CompletionRequest = {
  readonly model: string | undefined;
  readonly prompts: readonly Prompt[];
  /** The answer repeats the prompt; with no tokens to generate it is all of the answer. */
  readonly echo: boolean;
  readonly tokensMax: number | undefined;
  /** Only so many of the prompt's last tokens count. */
  readonly promptTokensMax: number | undefined;
  readonly sampling: SamplingFields;
  readonly streaming: StreamFields;
  readonly scheduling: SchedulingFields;
  readonly script: Script | undefined;
  readonly topLogprobs: number | undefined;
  readonly returnTokenIds: boolean;
  readonly requestId: string | undefined;
};

/** vLLM's default on this route, for null too; on the chat route it is the rest of the window. */
const TOKENS_MAX_DEFAULT = 16;
/** vLLM's VLLM_MAX_COMPLETION_PROMPTS is configurable; this is enough for any test. */
const PROMPTS_MAX = 1024;

/** @throws RequestError as the server would refuse the body, or for what is not simulated */
export function parseCompletionRequest(given: JsonObject, persona: Persona): CompletionRequest {
  const body = heededBody(given, { persona, kind: 'completion' });
  const reader = createFieldReader(body);
  const prompts = readPrompts(reader.raw('prompt'));
  if (prompts === undefined) {
    const message = 'Input should be a string, a list of strings or a list of token ids';
    reader.reject('prompt', { type: 'list_type', message });
  }
  const fields = {
    model: reader.string('model'),
    prompts: prompts ?? [],
    echo: reader.boolean('echo') ?? false,
    tokensMax:
      reader.integer('max_tokens') ?? (persona.family === 'vllm' ? TOKENS_MAX_DEFAULT : undefined),
    promptTokensMax: reader.integer('truncate_prompt_tokens'),
    sampling: readSamplingFields(reader, persona),
    streaming: readStreamFields(reader, persona),
    scheduling: readSchedulingFields(reader),
    returnTokenIds: persona.tokenIds && (reader.boolean('return_token_ids') ?? false),
    requestId: reader.string('request_id'),
  };
  rejectUnknownFields(reader, { body, persona, kind: 'completion' });
  reader.finish();

  if (persona.family === 'transformers' && typeof body['prompt'] !== 'string') {
    throw badValue({ message: 'prompt must be a string.' });
  }
  checkStreamFields(reader);
  refuseUnsupported(body);
  const topLogprobs = readCompletionLogprobs(reader);
  const script = readStructuredOutput(reader, persona);
  checkPrompts(fields.prompts);
  checkSamplingFields(fields.sampling, reader);
  return { ...fields, topLogprobs, script };
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
  for (const { ids } of prompts) if (ids !== undefined) checkPromptIds(ids);
}

/** @throws RequestError for ids that no prompt can consist of */
export function checkPromptIds(ids: readonly number[]): void {
  if (ids.length === 0) throw badValue({ message: 'The decoder prompt cannot be empty' });
  const unknown = ids.find((id) => id < 0 || id >= VOCABULARY_SIZE);
  if (unknown !== undefined)
    throw badValue({ message: `Token id ${unknown} is out of vocabulary` });
}
