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

const samplingFields = {
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
};

/** A conversation, for the engine's chat template. */
const chatRequestSchema = z.strictObject({
  messages: z.array(messageSchema).min(1),
  ...samplingFields,
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

/** A text to be gone on with as it is: no template, no tools, no structure. */
const rawRequestSchema = z.strictObject({
  prompt: z.string().min(1),
  ...samplingFields,
  /** Of each token, and of so many others at its place. */
  logprobs: z.int().nonnegative().optional(),
});

export const engineRequestSchema = z.union([chatRequestSchema, rawRequestSchema]);

export type ChatEngineRequest = z.infer<typeof chatRequestSchema>;
export type RawEngineRequest = z.infer<typeof rawRequestSchema>;
export type EngineRequest = ChatEngineRequest | RawEngineRequest;
export type EngineMessage = z.infer<typeof messageSchema>;

/** What the answer is an answer to. */
export type EngineInput =
  | { readonly messages: readonly EngineMessage[] }
  | { readonly prompt: string };

export function isRaw(request: EngineRequest): request is RawEngineRequest {
  return 'prompt' in request;
}

export function inputOf(request: EngineRequest): EngineInput {
  return isRaw(request) ? { prompt: request.prompt } : { messages: request.messages };
}
