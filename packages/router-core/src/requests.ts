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
import { metadataSchema } from './metadata.ts';
import { flag, name, wholeNumber } from './request-fields.ts';
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

/** How a job is run, whoever waits for it. */
const runFields = {
  class: jobClassSchema.optional(),
  fallback: fallbackSchema.optional(),
  on_interrupt: onInterruptSchema.optional(),
  queue_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
  run_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
  metadata: metadataSchema.optional(),
};

/** `POST /v1/route`: any request; only what routing looks at counts. */
export const routeRequestSchema = z
  .object(
    {
      ...unsupportedFields,
      ...generationFields,
      class: runFields.class,
      fallback: runFields.fallback,
      queue_timeout_ms: runFields.queue_timeout_ms,
    },
    'must be a JSON object',
  )
  .superRefine(checkTogether)
  .meta(ONE_FORM);

/**
 * `POST /v1/chat/completions`: OpenAI's body, or the short form with `prompt`, and what a job may say
 * of how it is run. Unknown fields are ignored, as by other servers of that surface; those of a job
 * that outlives its connection are refused, not to be trusted in vain.
 */
export const chatRequestSchema = z
  .object(
    {
      ...unsupportedFields,
      ...jobsOnlyFields,
      ...generationFields,
      ...runFields,
      service_tier: name().optional().describe('flex: behind the others that wait on connections'),
    },
    'must be a JSON object',
  )
  .superRefine(checkTogether)
  .superRefine(checkInterrupt)
  .meta(ONE_FORM);
export type ChatRequest = z.infer<typeof chatRequestSchema>;

/** `POST /v1/jobs`: the same fields and the job's own. Unknown fields are refused. */
export const jobRequestSchema = z
  .strictObject(
    {
      ...unsupportedFields,
      ...generationFields,
      ...runFields,
      ...webhookFields,
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

interface Interruptible {
  stream?: boolean | undefined;
  on_interrupt?: string | undefined;
}

/** An OpenAI stream has no word that voids what it has sent. */
function checkInterrupt(request: Interruptible, context: z.RefinementCtx): void {
  if (request.stream !== true || request.on_interrupt !== 'restart') return;
  const message =
    'must be "continue" or "fail" for a stream, which cannot take back what it has sent';
  context.addIssue({ code: 'custom', path: ['on_interrupt'], message });
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
