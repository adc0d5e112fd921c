/**
 * The bodies that clients send, as schemas.
 *
 * Three kinds of fields: those that are understood; those that do not change the answer, which are
 * accepted and ignored; and those that would change it but are not offered, which are refused,
 * because an answer that quietly ignores them would be wrong.
 *
 * A null is not a value here: the HTTP edge takes the fields that are null out of a body before it
 * is checked. All text is bounded by the size of the body; where a field has a limit of its own, the
 * error names both.
 */
import { z } from 'zod';
import { fallbackSchema, jobClassSchema, onInterruptSchema } from './job.ts';
import { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
import { flag, text, wholeNumber } from './request-fields.ts';
import { messagesSchema, textOf } from './request-messages.ts';
import type { RequestMessage } from './request-messages.ts';
import { responseFormatSchema } from './response-format.ts';
import {
  MAX_TOKENS_MAX,
  TIMEOUT_MS_MAX,
  TOP_LOGPROBS_MAX,
  checkBudget,
  samplingFields,
} from './sampling-fields.ts';
import { checkTools, toolFields } from './tools.ts';
import type { ToolRequest } from './tools.ts';
import { jobsOnlyFields, unsupportedFields } from './unsupported-fields.ts';
import { checkWebhook, webhookFields } from './webhook-fields.ts';

/** OpenAI's limits of `metadata`. */
const METADATA_PAIRS_MAX = 16;
const METADATA_KEY_CHARS_MAX = 64;
const METADATA_VALUE_CHARS_MAX = 512;
const generationFields = {
  messages: messagesSchema.optional(),
  prompt: plainText().min(1, 'must not be empty').optional(),
  system_prompt: plainText().optional(),
  ...samplingFields,
  max_completion_tokens: wholeNumber(1, MAX_TOKENS_MAX).optional(),
  logprobs: flag().optional(),
  top_logprobs: wholeNumber(0, TOP_LOGPROBS_MAX).optional(),
  ...toolFields,
  response_format: responseFormatSchema.optional(),
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
  .object(
    {
      ...conversationFields,
      class: jobClassSchema.optional(),
      fallback: fallbackSchema.optional(),
      queue_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
    },
    'must be a JSON object',
  )
  .superRefine(checkTogether)
  .meta(ONE_FORM);

/**
 * `POST /v1/chat/completions`: OpenAI's body, or the short form with `prompt`. Unknown fields are
 * ignored, as by other servers of that surface; a job's own are refused, not to be trusted in vain.
 */
export const chatRequestSchema = z
  .object({ ...conversationFields, ...jobsOnlyFields }, 'must be a JSON object')
  .superRefine(checkTogether)
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
      ...webhookFields,
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
  .superRefine(checkTogether)
  .superRefine(checkWebhook)
  .meta(ONE_FORM);
export type JobRequest = z.infer<typeof jobRequestSchema>;

/** What fields that are right by themselves demand of each other. */
function checkTogether(
  request: Conversation & Parameters<typeof checkBudget>[0] & Probabilities & ToolRequest,
  context: z.RefinementCtx,
): void {
  checkConversation(request, context);
  checkBudget(request, context);
  checkProbabilities(request, context);
  checkTools(request, context);
}

interface Conversation {
  messages?: RequestMessage[] | undefined;
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
  } else if (messages?.every(isEmpty)) {
    context.addIssue({ code: 'custom', path: ['messages'], message: 'must hold some text' });
  }
}

function isEmpty({ content, tool_calls: calls }: RequestMessage): boolean {
  return textOf(content) === '' && (calls ?? []).length === 0;
}

interface Probabilities {
  logprobs?: boolean | undefined;
  top_logprobs?: number | undefined;
}

function checkProbabilities(request: Probabilities, context: z.RefinementCtx): void {
  const { logprobs = false, top_logprobs = 0 } = request;
  if (logprobs || top_logprobs === 0) return;
  context.addIssue({ code: 'custom', path: ['top_logprobs'], message: 'needs logprobs' });
}

function plainText() {
  return z
    .string('must be a string')
    .refine((value) => !holdsPlaceholder(value), PLACEHOLDER_ERROR);
}
