/**
 * What a job asks of an engine: the allow-list of fields that are ever forwarded.
 *
 * A field that is not here never reaches an engine, whatever the client sent; several engine
 * crashes are reachable only through fields that a gateway forwards unread.
 */
import { z } from 'zod';

const messageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
  name: z.string().optional(),
});

export const engineRequestSchema = z.object({
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
  n: z.int().optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().optional(),
  tools: z.array(z.record(z.string(), z.unknown())).optional(),
  tool_choice: z.unknown().optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: z.record(z.string(), z.unknown()).optional(),
});

export type EngineRequest = z.infer<typeof engineRequestSchema>;
export type EngineMessage = z.infer<typeof messageSchema>;
