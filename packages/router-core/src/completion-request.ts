/**
 * The body of `POST /v1/completions`, OpenAI's older surface: a text that the engine goes on with, as
 * it is, without a chat template.
 *
 * Unknown fields are ignored, as by other servers of that surface. Those of a chat are refused: their
 * clients mean another route, and an answer that ignored them would be wrong.
 */
import { z } from 'zod';
import { fallbackSchema } from './job.ts';
import { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
import { wholeNumber } from './request-fields.ts';
import {
  TIMEOUT_MS_MAX,
  TOP_LOGPROBS_MAX,
  checkBudget,
  samplingFields,
} from './sampling-fields.ts';
import { jobsOnlyFields, unsupported, unsupportedFields } from './unsupported-fields.ts';

/** OpenAI's. Whoever comes from another server of this surface counts on it. */
const MAX_TOKENS_DEFAULT = 16;

const ONE_PROMPT = 'must be one string: several prompts, and token ids, are not supported';
const OF_CHATS = 'is a field of /v1/chat/completions';
const OF_JOBS = 'is a field of /v1/jobs, not of a completion';

const fieldsOfOthers = {
  ...refused(OF_CHATS, [
    'messages',
    'system_prompt',
    'max_completion_tokens',
    'top_logprobs',
    'tools',
    'tool_choice',
    'parallel_tool_calls',
    'response_format',
    'truncation',
  ]),
  ...refused(OF_JOBS, ['class', 'on_interrupt', 'run_timeout_ms']),
  ...jobsOnlyFields,
};

const promptSchema = z
  .unknown()
  .superRefine((value, context) => {
    const [text, ...others] = Array.isArray(value) ? (value as unknown[]) : [value];
    const refuse = (message: string, params?: object) =>
      context.addIssue({ code: 'custom', message, ...(params && { params }) });
    if (value === undefined) refuse('is required');
    else if (typeof text !== 'string' || others.length > 0) refuse(ONE_PROMPT, UNSUPPORTED);
    else if (text === '') refuse('must not be empty');
    else if (holdsPlaceholder(text)) refuse(PLACEHOLDER_ERROR);
  })
  .transform((value) => String(Array.isArray(value) ? value[0] : value))
  .meta({
    anyOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', items: { type: 'string', minLength: 1 }, minItems: 1, maxItems: 1 },
    ],
  });

const UNSUPPORTED = { code: 'unsupported_parameter' };

export const completionRequestSchema = z
  .object(
    {
      ...unsupportedFields,
      ...fieldsOfOthers,
      metadata: z.unknown().optional().describe('Accepted and ignored.'),
      prompt: promptSchema,
      ...samplingFields,
      max_tokens: samplingFields.max_tokens.default(MAX_TOKENS_DEFAULT),
      logprobs: wholeNumber(0, TOP_LOGPROBS_MAX)
        .optional()
        .describe('Log probabilities of each token, and of so many others at its place.'),
      fallback: fallbackSchema.optional(),
      queue_timeout_ms: wholeNumber(1, TIMEOUT_MS_MAX).optional(),
    },
    'must be a JSON object',
  )
  .superRefine(checkBudget);

/** For routing, which knows `prompt` as the short form of a chat, too. */
export type RawRequest = z.infer<typeof completionRequestSchema> & { readonly isRaw: true };

function refused(error: string, names: readonly string[]) {
  return Object.fromEntries(names.map((name) => [name, unsupported(() => false, error)]));
}
