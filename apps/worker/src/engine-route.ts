/** Where an engine takes a request: a conversation for its chat template, or a text as it is. */
import { isRaw } from '@qarr/router-core';
import type { EngineRequest } from '@qarr/router-core';

export const COMPLETIONS_PATH = '/v1/completions';
const CHAT_PATH = '/v1/chat/completions';

export function pathOf(request: EngineRequest): string {
  return isRaw(request) ? COMPLETIONS_PATH : CHAT_PATH;
}
