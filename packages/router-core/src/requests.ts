/**
 * The bodies that clients send, as schemas.
 *
 * Three kinds of fields: those that are understood; those that do not change the answer, which are
 * accepted and ignored; and those that would change it but are not offered, which are refused,
 * because an answer that quietly ignores them would be wrong.
 *
 * A null is not a value here: the HTTP edge takes the fields that are null out of a body before it
 * is checked. All text is bounded by the size of the body.
 */
import { z } from 'zod';
import { fallbackSchema, jobClassSchema, onInterruptSchema } from './job.ts';
import { textOf } from './to-engine-request.ts';
import {
  jobsOnlyFields,
  unsupportedFields,
  unsupportedMessageFields,
} from './unsupported-fields.ts';

/** Far above any context window today; a larger number is a mistake or an attack. */
const MAX_TOKENS_MAX = 1_000_000;
/** A body is bounded in bytes already; these bound the work per message and per part. */
const MESSAGES_MAX = 4096;
const TEXT_PARTS_MAX = 1024;
/** OpenAI's own limit is 4 stop strings. */
const STOP_STRINGS_MAX = 4;
const STOP_STRING_CHARS_MAX = 256;
const STOP_ERROR = `must be a string or a list of at most ${STOP_STRINGS_MAX} strings`;
/** Model ids may be paths; nothing that is named here is longer. */
const NAME_CHARS_MAX = 256;
/** OpenAI's limits of `metadata`. */
const METADATA_PAIRS_MAX = 16;
const METADATA_KEY_CHARS_MAX = 64;
const METADATA_VALUE_CHARS_MAX = 512;
/** A day: the longest that a job may wait, or run. */
const TIMEOUT_MS_MAX = 86_400_000;

const textPartSchema = z.object({ type: z.literal('text'), text: z.string() });

const messageSchema = z.object(
  {
    role: z.enum(
      ['system', 'developer', 'user', 'assistant'],
      'must be "system", "developer", "user" or "assistant"',
    ),
    ...unsupportedMessageFields,
    content: z.union(
      [z.string(), z.array(textPartSchema).max(TEXT_PARTS_MAX), z.null()],
      `must be a string or a list of at most ${TEXT_PARTS_MAX} parts, each { "type": "text", "text": "…" }`,
    ),
    name: name().nullish(),
  },
  'must be an object with role and content',
);

const generationFields = {
  model: name().optional(),
  tier: name().optional(),
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
  stop: z.union([stopString(), stopList()], STOP_ERROR).optional(),
  min_tokens: wholeNumber(0, MAX_TOKENS_MAX).optional(),
  ignore_eos: z.boolean('must be true or false').optional(),
  stream: z.boolean('must be true or false').optional(),
  stream_options: z
    .object({ include_usage: z.boolean('must be true or false').nullish() }, 'must be an object')
    .optional(),
  truncation: z
    .enum(['auto', 'disabled'], 'must be "auto" or "disabled"')
    .optional()
    .describe('auto: leave out the oldest turns of a conversation that is too long'),
};

/** What a JSON schema is to say beside the fields: a conversation comes in one of two forms. */
const ONE_FORM = { oneOf: [{ required: ['messages'] }, { required: ['prompt'] }] };

const conversationFields = {
  ...unsupportedFields,
  metadata: z.unknown().optional().describe('Accepted and ignored.'),
  ...generationFields,
};

/** `POST /v1/route`: any request; only what routing looks at counts. */
export const routeRequestSchema = z
  .object(conversationFields, 'must be a JSON object')
  .superRefine(checkConversation)
  .superRefine(checkTokens)
  .meta(ONE_FORM);

/**
 * `POST /v1/chat/completions`: OpenAI's body, or the short form with `prompt`. Unknown fields are
 * ignored, as by other servers of that surface; a job's own are refused, not to be trusted in vain.
 */
export const chatRequestSchema = z
  .object({ ...conversationFields, ...jobsOnlyFields }, 'must be a JSON object')
  .superRefine(checkConversation)
  .superRefine(checkTokens)
  .meta(ONE_FORM);
export type ChatRequest = z.infer<typeof chatRequestSchema>;

/** `POST /v1/jobs`: the same fields and the job's own. Unknown fields are refused. */
export const jobRequestSchema = z
  .strictObject(
    {
      ...unsupportedFields,
      ...generationFields,
      class: jobClassSchema.optional(),
      fallback: fallbackSchema.optional(),
      on_interrupt: onInterruptSchema.optional(),
      queue_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
      run_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
      metadata: z
        .record(z.string().max(METADATA_KEY_CHARS_MAX), text(METADATA_VALUE_CHARS_MAX), {
          error: (issue) =>
            issue.code === 'invalid_key'
              ? `must have keys of at most ${METADATA_KEY_CHARS_MAX} characters`
              : 'must be an object of strings',
        })
        .refine((value) => Object.keys(value).length <= METADATA_PAIRS_MAX, {
          error: `must hold at most ${METADATA_PAIRS_MAX} pairs`,
        })
        .meta({ maxProperties: METADATA_PAIRS_MAX })
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
  .superRefine(checkTokens)
  .meta(ONE_FORM);
export type JobRequest = z.infer<typeof jobRequestSchema>;

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

function checkTokens(
  request: {
    min_tokens?: number | undefined;
    max_tokens?: number | undefined;
    max_completion_tokens?: number | undefined;
  },
  context: z.RefinementCtx,
): void {
  const { min_tokens = 0, max_tokens, max_completion_tokens } = request;
  if (min_tokens <= (max_completion_tokens ?? max_tokens ?? MAX_TOKENS_MAX)) return;
  context.addIssue({ code: 'custom', path: ['min_tokens'], message: 'must not exceed max_tokens' });
}

function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int(error).min(min, error).max(max, error);
}

function numberBetween(min: number, max: number) {
  const error = `must be a number from ${min} to ${max}`;
  return z.number(error).min(min, error).max(max, error);
}

function name() {
  return text(NAME_CHARS_MAX).min(1, 'must not be empty');
}

function text(charsMax: number) {
  return z.string('must be a string').max(charsMax, `must have at most ${charsMax} characters`);
}

function stopList() {
  return z.array(stopString()).max(STOP_STRINGS_MAX, STOP_ERROR);
}

function stopString() {
  const error = `must be a string of 1 to ${STOP_STRING_CHARS_MAX} characters`;
  return z.string(error).min(1, error).max(STOP_STRING_CHARS_MAX, error);
}
