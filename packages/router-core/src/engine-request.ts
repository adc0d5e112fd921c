/**
 * What a job asks of an engine: the allow-list of fields that are ever forwarded.
 *
 * A field that is not here never reaches an engine, whatever the client sent; several engine
 * crashes are reachable only through fields that a gateway forwards unread. A request that holds
 * another field is none: it is refused here too, not only where it is made.
 */
import { z } from 'zod';

const toolCallSchema = z.strictObject({
  id: z.string(),
  type: z.literal('function'),
  function: z.strictObject({ name: z.string(), arguments: z.string() }),
});

/** A content is always text, an empty one where an assistant only called tools. */
const messageSchema = z.discriminatedUnion('role', [
  z.strictObject({
    role: z.enum(['system', 'user']),
    content: z.string(),
    name: z.string().optional(),
  }),
  z.strictObject({
    role: z.literal('assistant'),
    content: z.string(),
    name: z.string().optional(),
    tool_calls: z.array(toolCallSchema).min(1).optional(),
  }),
  z.strictObject({
    role: z.literal('tool'),
    content: z.string(),
    name: z.string().optional(),
    tool_call_id: z.string(),
  }),
]);

/** Checked where requests come in: see `json-schema.ts`. */
const jsonSchemaSchema = z.record(z.string(), z.unknown());

const toolSchema = z.strictObject({
  type: z.literal('function'),
  function: z.strictObject({
    name: z.string(),
    description: z.string().optional(),
    parameters: jsonSchemaSchema.optional(),
    strict: z.boolean().optional(),
  }),
});

const toolChoiceSchema = z.union([
  z.enum(['none', 'auto', 'required']),
  z.strictObject({
    type: z.literal('function'),
    function: z.strictObject({ name: z.string() }),
  }),
]);

const responseFormatSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('json_object') }),
  z.strictObject({
    type: z.literal('json_schema'),
    json_schema: z.strictObject({
      name: z.string(),
      description: z.string().optional(),
      schema: jsonSchemaSchema,
      strict: z.boolean().optional(),
    }),
  }),
]);

export const engineRequestSchema = z.strictObject({
  messages: z.array(messageSchema).min(1),
  max_tokens: z.int().positive(),
  temperature: z.number(),
  top_p: z.number().optional(),
  top_k: z.int().optional(),
  min_p: z.number().optional(),
  presence_penalty: z.number().optional(),
  frequency_penalty: z.number().optional(),
  repetition_penalty: z.number().optional(),
  seed: z.int().optional(),
  stop: z.array(z.string()).optional(),
  min_tokens: z.int().optional(),
  ignore_eos: z.boolean().optional(),
  /** Absent for one choice. */
  n: z.int().min(2).optional(),
  logprobs: z.literal(true).optional(),
  /** Only beside `logprobs`. */
  top_logprobs: z.int().nonnegative().optional(),
  tools: z.array(toolSchema).min(1).optional(),
  /** Both only beside `tools`. */
  tool_choice: toolChoiceSchema.optional(),
  parallel_tool_calls: z.boolean().optional(),
  /** Absent for text. */
  response_format: responseFormatSchema.optional(),
});

export type EngineRequest = z.infer<typeof engineRequestSchema>;
export type EngineMessage = z.infer<typeof messageSchema>;
