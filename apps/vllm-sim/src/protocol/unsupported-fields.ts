import { isObject, type JsonObject } from './fields.ts';
import { badValue, notSimulated } from './request-error.ts';

/** Fields that change what is answered and are not simulated, refused whenever they are in use. */
const UNSUPPORTED = [
  'echo',
  'guided_choice',
  'guided_grammar',
  'guided_json',
  'guided_regex',
  'logprob_token_ids',
  'prompt_embeds',
  'prompt_logprobs',
  'structured_outputs',
  'suffix',
  'tools',
  'top_logprobs',
  'truncate_prompt_tokens',
  'use_beam_search',
] as const;

/** Refuses what the simulator would otherwise ignore. `logprobs: 0` asks for log probabilities. */
export function refuseUnsupported(body: JsonObject): void {
  for (const field of UNSUPPORTED) {
    if (isUsed(body[field])) throw notSimulated(field);
  }
  const { logprobs, response_format: format, tool_choice: toolChoice } = body;
  if (logprobs !== undefined && logprobs !== null && logprobs !== false) {
    throw notSimulated('logprobs');
  }
  if (isObject(format) && format['type'] !== 'text') throw notSimulated('response_format');
  if (isUsed(toolChoice) && toolChoice !== 'none' && toolChoice !== 'auto') {
    throw notSimulated('tool_choice');
  }
  if (isUsed(body['chat_template'])) {
    throw badValue({
      message:
        'Chat template is passed with request, but --trust-request-chat-template is not set. Refused request with untrusted chat template.',
    });
  }
}

function isUsed(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== '';
}
