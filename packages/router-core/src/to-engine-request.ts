/** What is sent to an engine for a request. */
import type { RawRequest } from './completion-request.ts';
import type {
  ChatEngineRequest,
  EngineMessage,
  EngineRequest,
  RawEngineRequest,
} from './engine-request.ts';
import { textOf } from './request-messages.ts';
import type { RequestMessage } from './request-messages.ts';
import type { ChatRequest, JobRequest } from './requests.ts';

/**
 * OpenAI allows a `top_p` of 0, engines do not. The least nucleus holds the likeliest token, and
 * no other one.
 */
const TOP_P_LEAST = 1e-6;

/**
 * The understood fields, with the defaults that routing assumed. What means "not used" is left out,
 * because there are engines that refuse a field that they do not know, whatever its value.
 *
 * `developer` becomes `system` and text parts become one string, because older engines and many
 * chat templates know nothing else.
 */
export function toEngineRequest(
  request: ChatRequest | JobRequest | RawRequest,
  defaults: Defaults,
): EngineRequest {
  if ('isRaw' in request) {
    const { prompt, logprobs } = request;
    const probabilities = logprobs === undefined ? {} : { logprobs };
    return { prompt, ...samplingOf(request, defaults), ...probabilities };
  }
  const engine: ChatEngineRequest = {
    messages: conversation(request),
    ...samplingOf(request, defaults),
    ...toolsOf(request),
    ...probabilitiesOf(request),
  };
  const { response_format: format } = request;
  if (format !== undefined && format.type !== 'text') engine.response_format = format;
  return engine;
}

interface Defaults {
  readonly maxTokens: number;
  readonly temperature: number;
}

function samplingOf(
  request: ChatRequest | JobRequest | RawRequest,
  { maxTokens, temperature }: Defaults,
): Omit<RawEngineRequest, 'prompt' | 'logprobs'> {
  const { stop, top_p, n = 1 } = request;
  const sampling: ReturnType<typeof samplingOf> = { max_tokens: maxTokens, temperature };
  if (stop !== undefined) sampling.stop = typeof stop === 'string' ? [stop] : stop;
  if (top_p !== undefined) sampling.top_p = Math.max(top_p, TOP_P_LEAST);
  if (n > 1) sampling.n = n;
  for (const name of FORWARDED_AS_THEY_ARE) {
    if (request[name] !== undefined) Object.assign(sampling, { [name]: request[name] });
  }
  return sampling;
}

const FORWARDED_AS_THEY_ARE = [
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'seed',
  'min_tokens',
  'ignore_eos',
] as const;

function toolsOf({ tools = [], tool_choice, parallel_tool_calls }: ChatRequest | JobRequest) {
  if (tools.length === 0) return {};
  return {
    tools,
    ...(tool_choice === undefined ? {} : { tool_choice }),
    ...(parallel_tool_calls === undefined ? {} : { parallel_tool_calls }),
  };
}

function probabilitiesOf({ logprobs = false, top_logprobs }: ChatRequest | JobRequest) {
  if (!logprobs) return {};
  return { logprobs, ...(top_logprobs === undefined ? {} : { top_logprobs }) };
}

function conversation(request: ChatRequest | JobRequest): EngineMessage[] {
  if (request.messages === undefined) {
    const system = request.system_prompt;
    return [
      ...(system ? [{ role: 'system' as const, content: system }] : []),
      { role: 'user' as const, content: request.prompt ?? '' },
    ];
  }
  return request.messages.map(engineMessage);
}

function engineMessage(message: RequestMessage): EngineMessage {
  const { role, name, tool_calls: calls, tool_call_id: callId } = message;
  const said = {
    content: textOf(message.content),
    ...(name === undefined || name === null ? {} : { name }),
  };
  switch (role) {
    case 'system':
    case 'developer':
      return { role: 'system', ...said };
    case 'user':
      return { role, ...said };
    case 'assistant':
      return { role, ...said, ...(calls && calls.length > 0 ? { tool_calls: calls } : {}) };
    case 'tool':
      return { role, ...said, tool_call_id: callId ?? '' };
    default:
      return role satisfies never;
  }
}
