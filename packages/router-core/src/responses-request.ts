/**
 * The body of `POST /v1/responses`, and the chat that it asks for.
 *
 * As for chats there are fields that are understood, fields that are ignored, and fields that are
 * refused because an answer without them would be wrong; see `requests.ts`. Those that belong to a
 * chat and have another name here are refused by the name of their successor.
 */
import { z } from 'zod';
import { PLACEHOLDER_ERROR, holdsPlaceholder } from './media-placeholders.ts';
import { flag, name } from './request-fields.ts';
import type { RequestMessage } from './request-messages.ts';
import { jobRequestSchema } from './requests.ts';
import type { ChatRequest } from './requests.ts';
import { answerSchemaFields } from './response-format.ts';
import { messagesOfItems, responseInputSchema } from './response-input.ts';
import type { ResponseInputItem } from './response-input.ts';
import { TOOLS_MAX, checkTools, flatToolSchema, functionNameSchema } from './tools.ts';
import { jobsOnlyFields, unsupported, unsupportedFields } from './unsupported-fields.ts';

/** What means the same there. */
const jobFields = jobRequestSchema.shape;

/** Sampling that chats take too; OpenAI's Responses know few of them, vLLM's all. */
const samplingFields = {
  temperature: jobFields.temperature,
  top_p: jobFields.top_p,
  top_k: jobFields.top_k,
  min_p: jobFields.min_p,
  presence_penalty: jobFields.presence_penalty,
  frequency_penalty: jobFields.frequency_penalty,
  repetition_penalty: jobFields.repetition_penalty,
  seed: jobFields.seed,
  stop: jobFields.stop,
  min_tokens: jobFields.min_tokens,
  ignore_eos: jobFields.ignore_eos,
};

/** By this a client asks for log probabilities. */
const LOGPROBS = 'message.output_text.logprobs';

const refusedFields = {
  messages: movedTo('input'),
  max_tokens: movedTo('max_output_tokens'),
  max_completion_tokens: movedTo('max_output_tokens'),
  response_format: movedTo('text.format'),
  system_prompt: movedTo('instructions'),
  logprobs: movedTo(`include: ["${LOGPROBS}"]`, (value) => value === false),
  n: unsupported((value) => value === 1),
  class: unsupported(undefined, 'is a field of /v1/jobs: say service_tier or background'),
  on_interrupt: unsupported(undefined, 'is a field of /v1/jobs'),
  prompt: unsupported(),
  conversation: unsupported(),
  context_management: unsupported((value) => Array.isArray(value) && value.length === 0),
  moderation: unsupported(),
};

const ignoredFields = Object.fromEntries(
  ['stream_options', 'max_tool_calls'].map((field) => [
    field,
    z.unknown().optional().describe('Accepted and ignored.'),
  ]),
);

/** In the path of a problem in a chat's tool: `tools`, its number, `function`. */
const FUNCTION_AT = 2;

const TOOL_CHOICE_ERROR =
  'must be "none", "auto", "required" or { "type": "function", "name": "…" }';
const toolChoiceSchema = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.object({ type: z.literal('function'), name: functionNameSchema }),
  ],
  TOOL_CHOICE_ERROR,
);

const formatSchema = z
  .discriminatedUnion(
    'type',
    [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({ type: z.literal('json_schema'), ...answerSchemaFields }),
    ],
    'must have the type "text", "json_object" or "json_schema"',
  )
  .refine((format) => !holdsPlaceholder(JSON.stringify(format)), PLACEHOLDER_ERROR);

export const responseRequestSchema = z
  .object(
    {
      ...unsupportedFields,
      ...jobsOnlyFields,
      ...refusedFields,
      ...ignoredFields,
      model: jobFields.model,
      tier: jobFields.tier,
      input: responseInputSchema,
      instructions: z.string('must be a string').optional(),
      previous_response_id: name().optional(),
      max_output_tokens: jobFields.max_tokens,
      ...samplingFields,
      include: z
        .array(name(), 'must be a list of strings')
        .optional()
        .describe('message.output_text.logprobs is heeded, all others are ignored.'),
      top_logprobs: jobFields.top_logprobs,
      text: z
        .object(
          {
            format: formatSchema.optional(),
            verbosity: unsupported((value) => value === 'medium'),
          },
          'must be an object',
        )
        .optional(),
      tools: z
        .array(flatToolSchema, 'must be a list of tools')
        .max(TOOLS_MAX, `must hold at most ${TOOLS_MAX} tools`)
        .optional(),
      tool_choice: toolChoiceSchema.optional(),
      parallel_tool_calls: flag().optional(),
      reasoning: z
        .object({ effort: unsupported() }, 'must be an object')
        .optional()
        .describe('Only without an effort; whether there is a summary is ignored.'),
      truncation: jobFields.truncation,
      stream: flag().optional(),
      background: flag().optional(),
      store: flag().optional(),
      metadata: jobFields.metadata,
      service_tier: name().optional().describe('flex: behind whoever waits on a connection'),
      user: name().optional().describe('Repeated, and ignored.'),
      fallback: jobFields.fallback,
      queue_timeout_ms: jobFields.queue_timeout_ms,
      run_timeout_ms: jobFields.run_timeout_ms,
    },
    'must be a JSON object',
  )
  .superRefine((request, context) => {
    const refuse = (field: string, message: string, params = {}) =>
      context.addIssue({ code: 'custom', path: [field], message, params });
    const { background = false, store = true, instructions = '', input } = request;
    if (background && !store) {
      refuse('background', 'requires store=true', { code: 'unsupported_parameter' });
    }
    if (holdsPlaceholder(instructions)) refuse('instructions', PLACEHOLDER_ERROR);
    if (input.every(isEmpty)) refuse('input', 'must hold some text');
    const { min_tokens: least = 0, max_output_tokens: most = least } = request;
    if (least > most) refuse('min_tokens', 'must not exceed max_output_tokens');
    checkTools(toolsOf(request), {
      addIssue(issue) {
        if (typeof issue === 'string') return context.addIssue(issue);
        // Here a tool is flat.
        const path = issue.path?.filter((part, at) => at !== FUNCTION_AT || part !== 'function');
        context.addIssue({ ...issue, path });
      },
    });
  });
export type ResponseRequest = z.infer<typeof responseRequestSchema>;

/**
 * The chat that is asked for. `goneBefore`: the conversation that it goes on from; `input`: where
 * references have been replaced by what they stand for.
 */
export function chatOfResponse(
  request: ResponseRequest,
  { goneBefore, input }: { goneBefore: RequestMessage[]; input: readonly ResponseInputItem[] },
): ChatRequest {
  const { instructions = '', max_output_tokens, include = [], top_logprobs = 0 } = request;
  const { model, tier, truncation } = request;
  const isAsked = include.includes(LOGPROBS) || top_logprobs > 0;
  return {
    model,
    tier,
    messages: [
      ...(instructions === '' ? [] : [{ role: 'system' as const, content: instructions }]),
      ...goneBefore,
      ...messagesOfItems(input),
    ],
    max_tokens: max_output_tokens,
    ...samplingOf(request),
    ...(isAsked ? { logprobs: true, top_logprobs } : {}),
    ...toolsOf(request),
    parallel_tool_calls: request.parallel_tool_calls,
    response_format: formatOf(request),
    truncation,
  };
}

function samplingOf(request: ResponseRequest) {
  const fields = Object.keys(samplingFields) as (keyof typeof samplingFields)[];
  return Object.fromEntries(fields.map((field) => [field, request[field]]));
}

function toolsOf({ tools, tool_choice: choice }: Pick<ResponseRequest, 'tools' | 'tool_choice'>) {
  return {
    tools: tools?.map(({ type: _type, ...called }) => ({
      type: 'function' as const,
      function: called,
    })),
    tool_choice:
      typeof choice === 'object'
        ? { type: 'function' as const, function: { name: choice.name } }
        : choice,
  };
}

function formatOf({ text }: ResponseRequest): ChatRequest['response_format'] {
  const format = text?.format;
  if (format?.type !== 'json_schema') return format;
  const { type, ...schema } = format;
  return { type, json_schema: schema };
}

/** References may stand for anything. */
function isEmpty(item: ResponseInputItem): boolean {
  if (item.type === 'item_reference') return false;
  return messagesOfItems([item]).every(
    ({ content, tool_calls: calls = [] }) => content === '' && calls?.length === 0,
  );
}

/** A field of a chat that has another name here. */
function movedTo(field: string, isHarmless?: (value: unknown) => boolean) {
  return unsupported(isHarmless, `is ${field} here`);
}
