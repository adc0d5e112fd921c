/**
 * One chunk of an engine's stream, read tolerantly: engines and their versions differ in what they
 * add, in where they put the usage, and in what an error looks like.
 */
import { z } from 'zod';

const usageSchema = z.object({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative().optional(),
  total_tokens: z.int().nonnegative().optional(),
});

const chunkSchema = z.object({
  choices: z
    .array(
      z.object({
        delta: z
          .object({
            content: z.string().nullish(),
            /** Named `reasoning_content` by older versions. */
            reasoning: z.string().nullish(),
            reasoning_content: z.string().nullish(),
          })
          .nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
  /** What nobody can read is as good as none. */
  usage: usageSchema.nullish().catch(null),
  error: z.unknown().optional(),
});

export type EngineChunk =
  | {
      kind: 'delta';
      text: string;
      reasoning: string;
      finishReason: string | null;
      usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
    }
  /** `detail` is for recognising what it is about; it may quote the prompt. */
  | { kind: 'error'; status: number | null; detail: string }
  | { kind: 'malformed' };

/** Reads the data of one server-sent event, which is not `[DONE]`. */
export function parseChunk(data: string): EngineChunk {
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    return { kind: 'malformed' };
  }
  const parsed = chunkSchema.safeParse(json);
  if (!parsed.success) return { kind: 'malformed' };
  const { choices, usage, error } = parsed.data;
  if (error !== undefined && error !== null) {
    return { kind: 'error', status: errorStatus(error), detail: JSON.stringify(error) };
  }
  const choice = choices?.[0];
  return {
    kind: 'delta',
    text: choice?.delta?.content ?? '',
    reasoning: choice?.delta?.reasoning ?? choice?.delta?.reasoning_content ?? '',
    finishReason: choice?.finish_reason ?? null,
    usage: usage ? completeUsage(usage) : null,
  };
}

function completeUsage({
  prompt_tokens,
  completion_tokens = 0,
  total_tokens = prompt_tokens + completion_tokens,
}: z.infer<typeof usageSchema>) {
  return { prompt_tokens, completion_tokens, total_tokens };
}

function errorStatus(error: unknown): number | null {
  const parsed = z.object({ code: z.coerce.number().int() }).safeParse(error);
  return parsed.success ? parsed.data.code : null;
}
