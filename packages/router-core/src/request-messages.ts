/** The messages of a conversation, as clients send them. */
import { z } from 'zod';
import { name } from './request-fields.ts';
import { PLACEHOLDER_ERROR, holdsPlaceholder, jsonHoldsPlaceholder } from './media-placeholders.ts';
import { unsupportedMessageFields } from './unsupported-fields.ts';

/** A body is bounded in bytes already; these bound the work per message and per part. */
const MESSAGES_MAX = 4096;
const TEXT_PARTS_MAX = 1024;
/** As many as official clients take in one answer, which comes back as a message. */
const TOOL_CALLS_MAX = 128;

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;
const CONTENT_ERROR = `must be a string or a list of at most ${TEXT_PARTS_MAX} parts, each { "type": "text", "text": "…" }`;

const textPartSchema = z.object({ type: z.literal('text'), text: z.string() });

/** Models call tools that do not exist, and write arguments that are no JSON: that is history. */
const toolCallSchema = z.object(
  {
    id: name(),
    type: z.literal('function', 'must be "function"'),
    function: z.object({ name: name(), arguments: z.string('must be a string') }, 'is required'),
  },
  'must be an object with id, type and function',
);

const messageSchema = z
  .object(
    {
      role: z.enum(ROLES, 'must be "system", "developer", "user", "assistant" or "tool"'),
      ...unsupportedMessageFields,
      content: z
        .union([z.string(), z.array(textPartSchema).max(TEXT_PARTS_MAX), z.null()], CONTENT_ERROR)
        .optional(),
      name: name().nullish(),
      tool_calls: z
        .array(toolCallSchema, 'must be a list of tool calls')
        .max(TOOL_CALLS_MAX, `must hold at most ${TOOL_CALLS_MAX} tool calls`)
        .nullish()
        .describe('Of an assistant: what it has called.'),
      tool_call_id: name().nullish().describe('Of a tool: the call that it answers.'),
    },
    'must be an object with role and content',
  )
  .superRefine((message, context) => {
    const refuse = (field: keyof typeof message, problem: string) =>
      context.addIssue({ code: 'custom', path: [field], message: problem });
    const { role, content, tool_calls: calls } = message;
    const hasCalls = calls !== undefined && calls !== null && calls.length > 0;

    if (hasCalls && role !== 'assistant')
      refuse('tool_calls', 'may only be in an assistant message');
    if (content === undefined && !hasCalls) refuse('content', CONTENT_ERROR);
    if (role === 'tool' && !message.tool_call_id) refuse('tool_call_id', 'must name the call');
    if (holdsPlaceholder(textOf(content))) refuse('content', PLACEHOLDER_ERROR);
    if (holdsPlaceholder(message.name ?? '')) refuse('name', PLACEHOLDER_ERROR);
    if (holdsPlaceholder(message.tool_call_id ?? '')) refuse('tool_call_id', PLACEHOLDER_ERROR);
    if (calls?.some(callHoldsPlaceholder)) refuse('tool_calls', PLACEHOLDER_ERROR);
  });
export type RequestMessage = z.infer<typeof messageSchema>;

export const messagesSchema = z
  .array(messageSchema, 'must be a list of messages')
  .min(1, 'must hold at least one message')
  .max(MESSAGES_MAX, `must hold at most ${MESSAGES_MAX} messages`);

/** Also of messages that nobody has sent as such: a model can be made to write a placeholder. */
export function messageHoldsPlaceholder(message: RequestMessage): boolean {
  const { content, name: author, tool_call_id: callId, tool_calls: calls } = message;
  return (
    [textOf(content), author, callId].some((text) => holdsPlaceholder(text ?? '')) ||
    (calls ?? []).some(callHoldsPlaceholder)
  );
}

function callHoldsPlaceholder({ id, function: called }: z.infer<typeof toolCallSchema>): boolean {
  return holdsPlaceholder(`${id} ${called.name}`) || jsonHoldsPlaceholder(called.arguments);
}

/** The text of a message's content, whatever its form. */
export function textOf(content: RequestMessage['content']): string {
  if (content === null || content === undefined) return '';
  return typeof content === 'string' ? content : content.map((part) => part.text).join('\n');
}
