import type { JsonObject } from './fields.ts';
import { badValue, notSimulated } from './request-error.ts';

/** Fields that change what is answered and are not simulated, refused whenever they are in use. */
const UNSUPPORTED = [
  'logprob_token_ids',
  'prompt_embeds',
  'prompt_logprobs',
  'suffix',
  'use_beam_search',
] as const;

/** Refuses what the simulator would otherwise ignore. */
export function refuseUnsupported(body: JsonObject): void {
  for (const field of UNSUPPORTED) {
    if (isUsed(body[field])) throw notSimulated(field);
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
