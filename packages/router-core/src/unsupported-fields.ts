/** Fields of OpenAI's and vLLM's requests that are not understood here, and what becomes of them. */
import { z } from 'zod';

/** Accepted because official clients send them, and ignored because they do not change the answer. */
const IGNORED = [
  'user',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
];

/**
 * Would change the answer, or what is sent of it. For each: whether a value means "not used", which
 * is harmless; with any other the field is refused.
 */
const REFUSED: Readonly<Record<string, (value: unknown) => boolean>> = {
  // OpenAI's
  functions: isEmptyList,
  function_call: (value) => value === 'none' || value === 'auto',
  // vLLM 0.8.0 to 0.8.4 end on an id outside of the vocabulary, which is not known here.
  logit_bias: isEmptyObject,
  modalities: (value) => Array.isArray(value) && value.every((item) => item === 'text'),
  audio: never,
  prediction: never,
  reasoning_effort: never,
  verbosity: (value) => value === 'medium',
  web_search_options: never,
  best_of: (value) => value === 1,
  echo: (value) => value === false,
  suffix: (value) => value === '',
  // vLLM's
  chat_template: never,
  chat_template_kwargs: isEmptyObject,
  add_generation_prompt: (value) => value === true,
  continue_final_message: (value) => value === false,
  documents: isEmptyList,
  prompt_embeds: never,
  mm_processor_kwargs: isEmptyObject,
  media_io_kwargs: isEmptyObject,
  truncate_prompt_tokens: never,
  structured_outputs: never,
  guided_json: never,
  guided_regex: never,
  guided_choice: never,
  guided_grammar: never,
  guided_json_object: (value) => value === false,
  use_beam_search: (value) => value === false,
  logits_processors: isEmptyList,
  // With min_tokens, an id outside of the vocabulary is an index outside of the engine's arrays.
  stop_token_ids: isEmptyList,
  bad_words: isEmptyList,
  allowed_token_ids: isEmptyList,
  prompt_logprobs: never,
  logprob_token_ids: isEmptyList,
  include_stop_str_in_output: (value) => value === false,
  skip_special_tokens: (value) => value === true,
  spaces_between_special_tokens: (value) => value === true,
  add_special_tokens: (value) => value === false,
  include_reasoning: (value) => value === true,
  thinking_token_budget: never,
  repetition_detection: never,
  length_penalty: (value) => value === 1,
  return_token_ids: (value) => value === false,
  return_prompt_text: (value) => value === false,
  return_tokens_as_token_ids: (value) => value === false,
};

/** Parts of the conversation that no tier is given. */
export const unsupportedMessageFields = {
  function_call: unsupported(isNullOr(never)),
  audio: unsupported(isNullOr(never)),
};

export const unsupportedFields = {
  ...Object.fromEntries(Object.entries(REFUSED).map(([name, is]) => [name, unsupported(is)])),
  ...Object.fromEntries(
    IGNORED.map((name) => [name, z.unknown().optional().describe('Accepted and ignored.')]),
  ),
};

/** A chat or a response is a job too, but its client learns the end in other ways. */
export const jobsOnlyFields = Object.fromEntries(
  ['webhook_url', 'webhook_events'].map((name) => [
    name,
    unsupported(never, 'is a field of /v1/jobs only'),
  ]),
);

export function unsupported(
  isHarmless: (value: unknown) => boolean = never,
  error = 'is not supported',
) {
  return z
    .unknown()
    .refine(isHarmless, {
      error,
      params: { code: 'unsupported_parameter' },
    })
    .optional()
    .describe('Not supported: refused, unless its value means that it is not used.');
}

/** Official clients send the messages of earlier answers back as they got them, with their nulls. */
function isNullOr(isHarmless: (value: unknown) => boolean): (value: unknown) => boolean {
  return (value) => value === null || isHarmless(value);
}

function never(): boolean {
  return false;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}
