/** The input of a response, as clients of `/v1/responses` send it, and the messages that it is. */
import { z } from 'zod';
import { PLACEHOLDER_ERROR, holdsPlaceholder, jsonHoldsPlaceholder } from './media-placeholders.ts';
import { name } from './request-fields.ts';
import type { RequestMessage } from './request-messages.ts';

/** As many as a chat may have messages, and text parts in one. */
const ITEMS_MAX = 4096;
const PARTS_MAX = 1024;
const CONTENT_ERROR = `must be a string or a list of at most ${PARTS_MAX} parts, each { "type": "input_text", "text": "…" }`;
const ITEM_TYPES = [
  'message',
  'function_call',
  'function_call_output',
  'reasoning',
  'item_reference',
] as const;
const ROLES = ['system', 'developer', 'user', 'assistant'] as const;

/** Those of a reasoning item come back with the rest of an answer; they are read, and left out. */
const THOUGHTS: readonly string[] = ['reasoning_text', 'summary_text'];
const partSchema = z.union([
  z.object({
    type: z.enum(['input_text', 'output_text', 'text', 'reasoning_text', 'summary_text']),
    text: z.string(),
  }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
]);
type Part = z.infer<typeof partSchema>;

const contentSchema = z.union([z.string(), z.array(partSchema).max(PARTS_MAX)], CONTENT_ERROR);
type Content = z.infer<typeof contentSchema>;

const itemSchema = z
  .object(
    {
      type: z
        .string()
        .refine(isItemType, {
          error: `must be ${ITEM_TYPES.map((type) => `"${type}"`).join(', ')}`,
          params: { code: 'unsupported_parameter' },
        })
        .optional()
        .describe('Default: message'),
      id: name().optional(),
      role: z
        .enum(ROLES, 'must be "system", "developer", "user" or "assistant"')
        .optional()
        .describe('Of a message.'),
      content: contentSchema.nullish().describe('Of a message.'),
      call_id: name().optional().describe('Of a call, and of its output.'),
      name: name().optional().describe('Of the function that is called.'),
      arguments: z.string('must be a string').optional(),
      output: contentSchema.optional().describe('Of a function that was called.'),
    },
    'must be an object with type, or with role and content',
  )
  .superRefine((item, context) => {
    const refuse = (field: keyof typeof item, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    const need = (...fields: (keyof typeof item)[]) => {
      for (const field of fields) if (item[field] === undefined) refuse(field, 'is required');
    };
    const { type = 'message', content } = item;
    if (type === 'message') {
      need('role');
      if (content === undefined || content === null || holdsThoughts(content)) {
        refuse('content', CONTENT_ERROR);
      }
      if (holdsPlaceholder(plainText(content))) refuse('content', PLACEHOLDER_ERROR);
    }
    if (type === 'function_call') need('call_id', 'name', 'arguments');
    if (type === 'function_call_output') need('call_id', 'output');
    if (type === 'item_reference') need('id');
    if (holdsPlaceholder(`${item.call_id} ${item.name}`)) refuse('name', PLACEHOLDER_ERROR);
    if (jsonHoldsPlaceholder(item.arguments ?? '')) refuse('arguments', PLACEHOLDER_ERROR);
    if (holdsPlaceholder(plainText(item.output))) refuse('output', PLACEHOLDER_ERROR);
  });
export type ResponseInputItem = z.infer<typeof itemSchema>;

const itemsSchema = z
  .array(itemSchema, {
    error: ({ input }) =>
      input === undefined ? 'is required' : 'must be a string or a list of items',
  })
  .min(1, 'must not be empty')
  .max(ITEMS_MAX, `must hold at most ${ITEMS_MAX} items`);

/** A text is a message of the user. Not a union, whose errors would not say which item is wrong. */
export const responseInputSchema = z
  .preprocess(
    (input) => (typeof input === 'string' ? [{ role: 'user', content: input }] : input),
    itemsSchema,
  )
  .meta({
    anyOf: [z.string(), itemsSchema].map((schema) => {
      const { $schema: _, ...described } = z.toJSONSchema(schema, { io: 'input' });
      return described;
    }),
  });

/**
 * Calls join the message of the assistant before them, as they were one answer. Reasoning is left out:
 * chat templates know none.
 */
export function messagesOfItems(items: readonly ResponseInputItem[]): RequestMessage[] {
  const messages: RequestMessage[] = [];
  for (const item of items) {
    const { type = 'message', role = 'user', call_id: callId = '' } = item;
    const last = messages.at(-1);
    if (type === 'message') {
      messages.push({ role, content: plainText(item.content) });
    } else if (type === 'function_call_output') {
      messages.push({ role: 'tool', content: plainText(item.output), tool_call_id: callId });
    } else if (type === 'function_call') {
      const called = { name: item.name ?? '', arguments: item.arguments ?? '' };
      const call = { id: callId, type: 'function' as const, function: called };
      if (last?.role === 'assistant') last.tool_calls = [...(last.tool_calls ?? []), call];
      else messages.push({ role: 'assistant', content: '', tool_calls: [call] });
    }
  }
  return messages;
}

function isItemType(type: string): boolean {
  return (ITEM_TYPES as readonly string[]).includes(type);
}

function holdsThoughts(content: Content): boolean {
  return typeof content !== 'string' && content.some(({ type }) => THOUGHTS.includes(type));
}

function plainText(content: Content | null | undefined): string {
  if (content === null || content === undefined) return '';
  return typeof content === 'string' ? content : content.map(textOfPart).join('\n');
}

function textOfPart(part: Part): string {
  return part.type === 'refusal' ? part.refusal : part.text;
}
