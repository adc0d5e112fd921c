import type { Persona } from '../personas.ts';
import type { FieldReader, JsonObject } from './fields.ts';
import { RequestError } from './request-error.ts';

/** A generating route whose body has a schema. */
export type BodyKind = 'chat' | 'completion';

/** What both routes of vLLM 0.6.4 know: `vllm/entrypoints/openai/protocol.py` at that tag. */
const V0_6_4_COMMON = [
  'add_special_tokens',
  'best_of',
  'echo',
  'frequency_penalty',
  'guided_choice',
  'guided_decoding_backend',
  'guided_grammar',
  'guided_json',
  'guided_regex',
  'guided_whitespace_pattern',
  'ignore_eos',
  'include_stop_str_in_output',
  'length_penalty',
  'logit_bias',
  'logprobs',
  'max_tokens',
  'min_p',
  'min_tokens',
  'model',
  'n',
  'presence_penalty',
  'priority',
  'prompt_logprobs',
  'repetition_penalty',
  'request_id',
  'response_format',
  'seed',
  'skip_special_tokens',
  'spaces_between_special_tokens',
  'stop',
  'stop_token_ids',
  'stream',
  'stream_options',
  'temperature',
  'top_k',
  'top_p',
  'truncate_prompt_tokens',
  'use_beam_search',
  'user',
];

const V0_6_4_FIELDS: Readonly<Record<BodyKind, ReadonlySet<string>>> = {
  chat: new Set([
    ...V0_6_4_COMMON,
    'add_generation_prompt',
    'chat_template',
    'chat_template_kwargs',
    'continue_final_message',
    'documents',
    'max_completion_tokens',
    'messages',
    'parallel_tool_calls',
    'tool_choice',
    'tools',
    'top_logprobs',
  ]),
  completion: new Set([...V0_6_4_COMMON, 'allowed_token_ids', 'prompt', 'suffix']),
};

/** What `transformers serve` heeds: `src/transformers/cli/serving/{chat_completion,completion}.py`. */
const TRANSFORMERS_HEEDED = [
  'frequency_penalty',
  'max_tokens',
  'messages',
  'model',
  'prompt',
  'seed',
  'stop',
  'stream',
  'temperature',
  'top_p',
];

/** What it takes without a complaint: the parameters of the OpenAI client and two of its own. */
const TRANSFORMERS_FIELDS: Readonly<Record<BodyKind, ReadonlySet<string>>> = {
  chat: new Set([
    ...TRANSFORMERS_HEEDED.filter((name) => name !== 'prompt'),
    'audio',
    'function_call',
    'functions',
    'generation_config',
    'logit_bias',
    'logprobs',
    'max_completion_tokens',
    'metadata',
    'modalities',
    'n',
    'parallel_tool_calls',
    'prediction',
    'presence_penalty',
    'processor',
    'prompt_cache_key',
    'reasoning_effort',
    'response_format',
    'safety_identifier',
    'service_tier',
    'store',
    'stream_options',
    'tool_choice',
    'tools',
    'top_logprobs',
    'user',
    'verbosity',
    'web_search_options',
  ]),
  completion: new Set([
    ...TRANSFORMERS_HEEDED.filter((name) => name !== 'messages'),
    'best_of',
    'echo',
    'generation_config',
    'logit_bias',
    'logprobs',
    'n',
    'presence_penalty',
    'stream_options',
    'suffix',
    'user',
  ]),
};

/** The fields of a body that the server takes notice of. @throws RequestError 422 where it refuses the others */
export function heededBody(
  body: JsonObject,
  { persona, kind }: { persona: Persona; kind: BodyKind },
): JsonObject {
  if (persona.unknownFields !== 'unexpected') return body;
  const unexpected = Object.keys(body).filter((name) => !TRANSFORMERS_FIELDS[kind].has(name));
  if (unexpected.length > 0) {
    const names = unexpected.map((name) => `'${name}'`).join(', ');
    throw new RequestError({
      status: 422,
      type: 'UnprocessableEntityError',
      message: `Unexpected fields in the request: {${names}}`,
    });
  }
  return Object.fromEntries(
    Object.entries(body).filter(([name]) => TRANSFORMERS_HEEDED.includes(name)),
  );
}

/** Notes each field that a schema with `extra="forbid"` does not list. */
export function rejectUnknownFields(
  reader: FieldReader,
  { body, persona, kind }: { body: JsonObject; persona: Persona; kind: BodyKind },
): void {
  if (persona.unknownFields !== 'forbidden') return;
  for (const name of Object.keys(body)) {
    if (V0_6_4_FIELDS[kind].has(name)) continue;
    reader.reject(name, {
      type: 'extra_forbidden',
      message: 'Extra inputs are not permitted',
    });
  }
}
