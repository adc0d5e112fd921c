/** What is sent to an engine for a request. */
import type { EngineMessage, EngineRequest } from './engine-request.ts';
import type { ChatRequest, JobRequest } from './requests.ts';

/**
 * OpenAI allows a `top_p` of 0, engines do not. The least nucleus holds the likeliest token, and
 * no other one.
 */
const TOP_P_LEAST = 1e-6;

/**
 * The understood fields, with the defaults that routing assumed.
 *
 * `developer` becomes `system` and text parts become one string, because older engines and many
 * chat templates know nothing else.
 */
export function toEngineRequest(
  request: ChatRequest | JobRequest,
  { maxTokens, temperature }: { maxTokens: number; temperature: number },
): EngineRequest {
  const engine: EngineRequest = {
    messages: conversation(request),
    max_tokens: maxTokens,
    temperature,
  };
  const { stop, top_p } = request;
  if (stop !== undefined) engine.stop = typeof stop === 'string' ? [stop] : stop;
  if (top_p !== undefined) engine.top_p = Math.max(top_p, TOP_P_LEAST);
  for (const name of FORWARDED_AS_THEY_ARE) {
    if (request[name] !== undefined) Object.assign(engine, { [name]: request[name] });
  }
  return engine;
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

function conversation(request: ChatRequest | JobRequest): EngineMessage[] {
  if (request.messages === undefined) {
    const system = request.system_prompt;
    return [
      ...(system ? [{ role: 'system' as const, content: system }] : []),
      { role: 'user' as const, content: request.prompt ?? '' },
    ];
  }
  return request.messages.map(({ role, content, name }) => ({
    role: role === 'developer' ? 'system' : role,
    content: textOf(content),
    ...(name === undefined || name === null ? {} : { name }),
  }));
}

/** The text of a message's content, whatever its form. */
export function textOf(content: string | readonly { text: string }[] | null): string {
  if (content === null) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text).join('\n');
}
