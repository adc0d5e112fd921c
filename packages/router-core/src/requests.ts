/**
 * The bodies that clients send, as schemas, and what becomes of them.
 *
 * Three kinds of fields: those that are understood; those that do not change the answer, which are
 * accepted and ignored; and those that would change it but are not offered, which are refused,
 * because an answer that quietly ignores them would be wrong.
 */
import { z } from 'zod';
import type { EngineMessage, EngineRequest } from './engine-request.ts';
import { fallbackSchema, jobClassSchema, onInterruptSchema } from './job.ts';

/** Far above any context window today; a larger number is a mistake or an attack. */
export const MAX_TOKENS_MAX = 1_000_000;
/** A body is bounded in bytes already; this bounds the work per message. */
export const MESSAGES_MAX = 4096;
/** OpenAI's own limit is 4 stop strings. */
const STOP_STRINGS_MAX = 4;
const STOP_STRING_CHARS_MAX = 256;
const NAME_CHARS_MAX = 256;
/** OpenAI's limits of `metadata`. */
const METADATA_PAIRS_MAX = 16;
const METADATA_KEY_CHARS_MAX = 64;
const METADATA_VALUE_CHARS_MAX = 512;
/** A day: the longest that a job may wait, or run. */
const TIMEOUT_MS_MAX = 86_400_000;

const textPartSchema = z.object(
  { type: z.literal('text', 'must be "text": other content is not supported'), text: z.string() },
  'must be a text part: { "type": "text", "text": "…" }',
);

const messageSchema = z.object(
  {
    role: z.enum(
      ['system', 'developer', 'user', 'assistant'],
      'must be "system", "developer", "user" or "assistant"',
    ),
    content: z.union(
      [z.string(), z.array(textPartSchema), z.null()],
      'must be a string or a list of text parts',
    ),
    name: z.string().max(NAME_CHARS_MAX).optional(),
  },
  'must be an object with role and content',
);

const generationFields = {
  model: z.string('must be a string').min(1).max(NAME_CHARS_MAX).optional(),
  tier: z.string('must be a string').min(1).max(NAME_CHARS_MAX).optional(),
  messages: z
    .array(messageSchema, 'must be a list of messages')
    .min(1, 'must hold at least one message')
    .max(MESSAGES_MAX, `must hold at most ${MESSAGES_MAX} messages`)
    .optional(),
  prompt: z.string('must be a string').min(1, 'must not be empty').optional(),
  system_prompt: z.string('must be a string').optional(),
  max_tokens: wholeNumber(1, MAX_TOKENS_MAX).optional(),
  max_completion_tokens: wholeNumber(1, MAX_TOKENS_MAX).optional(),
  temperature: numberBetween(0, 2).optional(),
  top_p: numberBetween(0, 1).optional(),
  top_k: wholeNumber(-1, 1_000_000).optional(),
  min_p: numberBetween(0, 1).optional(),
  presence_penalty: numberBetween(-2, 2).optional(),
  frequency_penalty: numberBetween(-2, 2).optional(),
  repetition_penalty: numberBetween(0.01, 2).optional(),
  seed: wholeNumber(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).optional(),
  stop: z
    .union(
      [stopString(), z.array(stopString()).max(STOP_STRINGS_MAX)],
      `must be a string or a list of at most ${STOP_STRINGS_MAX} strings, each of 1 to ${STOP_STRING_CHARS_MAX} characters`,
    )
    .optional(),
  min_tokens: wholeNumber(0, MAX_TOKENS_MAX).optional(),
  ignore_eos: z.boolean('must be true or false').optional(),
  stream: z.boolean('must be true or false').optional(),
  stream_options: z
    .object({ include_usage: z.boolean('must be true or false').optional() }, 'must be an object')
    .optional(),
  truncation: z.enum(['auto', 'disabled'], 'must be "auto" or "disabled"').optional(),
};

/** Accepted because official clients send them, and ignored because they do not change the answer. */
const ignoredFields = Object.fromEntries(
  [
    'user',
    'store',
    'service_tier',
    'safety_identifier',
    'prompt_cache_key',
    'prompt_cache_options',
    'prompt_cache_retention',
    'parallel_tool_calls',
  ].map((name) => [name, z.unknown().optional()]),
);

/** For each field that is not offered: the values that mean "not used", which are harmless. */
const UNSUPPORTED_FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value === 1,
  tools: isEmptyList,
  tool_choice: (value) => value === 'none' || value === 'auto',
  functions: isEmptyList,
  function_call: (value) => value === 'none' || value === 'auto',
  response_format: (value) => z.object({ type: z.literal('text') }).safeParse(value).success,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  logit_bias: (value) => JSON.stringify(value) === '{}',
  modalities: (value) => JSON.stringify(value) === '["text"]',
  audio: () => false,
  prediction: () => false,
  reasoning_effort: () => false,
  verbosity: (value) => value === 'medium',
  web_search_options: () => false,
  best_of: (value) => value === 1,
  echo: (value) => value === false,
  suffix: () => false,
  webhook_url: () => false,
};
const unsupportedFields = Object.fromEntries(
  Object.keys(UNSUPPORTED_FIELDS).map((name) => [name, z.unknown().optional()]),
);

/** `POST /v1/chat/completions`: OpenAI's body, or the short form with `prompt`. */
export const chatRequestSchema = z
  .object(
    { ...unsupportedFields, ...ignoredFields, metadata: z.unknown().optional(), ...generationFields },
    'must be a JSON object',
  )
  .superRefine(checkConversation)
  .superRefine(refuseUnsupported);
export type ChatRequest = z.infer<typeof chatRequestSchema>;

/** `POST /v1/jobs`: the same fields and the job's own. Unknown fields are refused. */
export const jobRequestSchema = z
  .strictObject(
    {
      ...unsupportedFields,
      ...ignoredFields,
      ...generationFields,
      class: jobClassSchema.optional(),
      fallback: fallbackSchema.optional(),
      on_interrupt: onInterruptSchema.optional(),
      queue_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
      run_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
      metadata: z
        .record(
          z.string().max(METADATA_KEY_CHARS_MAX),
          z.string('must be a string').max(METADATA_VALUE_CHARS_MAX),
          'must be an object of strings',
        )
        .refine((value) => Object.keys(value).length <= METADATA_PAIRS_MAX, {
          error: `must hold at most ${METADATA_PAIRS_MAX} pairs`,
        })
        .optional(),
    },
    {
      error: (issue) =>
        issue.code === 'unrecognized_keys'
          ? `unknown parameter: ${String(issue.keys[0])}`
          : 'must be a JSON object',
    },
  )
  .superRefine(checkConversation)
  .superRefine(refuseUnsupported);
export type JobRequest = z.infer<typeof jobRequestSchema>;

/**
 * What is sent to the engine: the understood fields, with the defaults that routing assumed.
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
  const { stop } = request;
  if (stop !== undefined) engine.stop = typeof stop === 'string' ? [stop] : stop;
  for (const name of FORWARDED_AS_THEY_ARE) {
    if (request[name] !== undefined) Object.assign(engine, { [name]: request[name] });
  }
  return engine;
}

const FORWARDED_AS_THEY_ARE = [
  'top_p',
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
    ...(name === undefined ? {} : { name }),
  }));
}

function textOf(content: string | { text: string }[] | null): string {
  if (content === null) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text).join('\n');
}

interface Conversation {
  messages?: z.infer<typeof messageSchema>[] | undefined;
  prompt?: string | undefined;
  system_prompt?: string | undefined;
}

function checkConversation(request: Conversation, context: z.RefinementCtx): void {
  const { messages, prompt, system_prompt } = request;
  if (messages === undefined && prompt === undefined) {
    context.addIssue({ code: 'custom', path: ['messages'], message: 'is required (or prompt)' });
  } else if (messages !== undefined && prompt !== undefined) {
    context.addIssue({ code: 'custom', path: ['prompt'], message: 'excludes messages' });
  } else if (messages !== undefined && system_prompt !== undefined) {
    context.addIssue({ code: 'custom', path: ['system_prompt'], message: 'excludes messages' });
  } else if (messages?.every((message) => textOf(message.content) === '')) {
    context.addIssue({ code: 'custom', path: ['messages'], message: 'must hold some text' });
  }
}

function refuseUnsupported(request: Record<string, unknown>, context: z.RefinementCtx): void {
  for (const [name, isHarmless] of Object.entries(UNSUPPORTED_FIELDS)) {
    const value = request[name];
    if (value === undefined || isHarmless(value)) continue;
    context.addIssue({
      code: 'custom',
      path: [name],
      message: 'is not supported',
      params: { code: 'unsupported_parameter' },
    });
  }
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int(error).min(min, error).max(max, error);
}

function numberBetween(min: number, max: number) {
  const error = `must be a number from ${min} to ${max}`;
  return z.number(error).min(min, error).max(max, error);
}

function stopString() {
  return z.string().min(1).max(STOP_STRING_CHARS_MAX);
}
