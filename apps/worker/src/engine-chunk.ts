/**
 * One chunk of an engine's stream, read tolerantly: engines and their versions differ in what they
 * add, in where they put the usage, and in what an error looks like. Chat and completions alike.
 */
import { logprobsSchema, toolCallPieceSchema } from '@qarr/router-core';
import type { Usage } from '@qarr/router-core';
import type { AnswerDelta } from '@qarr/job-store';
import { z } from 'zod';
import { completionLogprobsSchema } from './completion-logprobs.ts';

const usageSchema = z.object({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative().optional(),
  total_tokens: z.int().nonnegative().optional(),
});

const choiceSchema = z.object({
  index: z.int().nonnegative().nullish(),
  delta: z
    .object({
      content: z.string().nullish(),
      /** Named `reasoning_content` by older versions. */
      reasoning: z.string().nullish(),
      reasoning_content: z.string().nullish(),
      tool_calls: z.array(toolCallPieceSchema).nullish(),
    })
    .nullish(),
  /** Of completions. */
  text: z.string().nullish(),
  logprobs: z.union([logprobsSchema, completionLogprobsSchema]).nullish().catch(null),
  token_ids: z.array(z.int().nonnegative()).nullish(),
  finish_reason: z.string().nullish(),
  /** vLLM's: the stop string, or the id of the stop token. */
  stop_reason: z.union([z.string(), z.number()]).nullish().catch(null),
});

const chunkSchema = z.object({
  choices: z.array(choiceSchema).nullish(),
  /** What nobody can read is as good as none. */
  usage: usageSchema.nullish().catch(null),
  error: z.unknown().optional(),
});

/** What one choice says in one chunk. */
interface ChoiceChunk {
  readonly index: number;
  readonly delta: AnswerDelta;
  readonly finishReason: string | null;
  /** The stop string that ended it, where the engine says so. */
  readonly stopString?: string | undefined;
}

export type EngineChunk =
  | { kind: 'chunk'; choices: readonly ChoiceChunk[]; usage: Usage | null }
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
  const plain = readPlainChunk(json);
  if (plain !== null) return plain;
  const parsed = chunkSchema.safeParse(json);
  if (!parsed.success) return { kind: 'malformed' };
  const { choices, usage, error } = parsed.data;
  if (error !== undefined && error !== null) {
    return { kind: 'error', status: errorStatus(error), detail: JSON.stringify(error) };
  }
  return {
    kind: 'chunk',
    choices: (choices ?? []).map(readChoice),
    usage: usage ? completeUsage(usage) : null,
  };
}

/** Whether a delta says anything to a reader. */
export function isVisible({ text, reasoning, toolCalls }: AnswerDelta): boolean {
  return text !== '' || (reasoning ?? '') !== '' || toolCalls !== undefined;
}

/**
 * What nearly every chunk is, at a fraction of what its schema costs: some text of a chat's only choice,
 * with its tokens and the usage so far. Null where it is anything else, for the schema to judge.
 */
function readPlainChunk(json: unknown): EngineChunk | null {
  if (!isObject(json) || !Array.isArray(json['choices']) || json['choices'].length !== 1)
    return null;
  const [choice] = json['choices'] as unknown[];
  if (isThere(json['error']) || !isObject(choice) || !isObject(choice['delta'])) return null;
  const { content, reasoning, reasoning_content: formerly, tool_calls: calls } = choice['delta'];
  const isRare =
    [reasoning, formerly, calls].some(isThere) ||
    [choice['text'], choice['logprobs']].some(isThere) ||
    [choice['finish_reason'], choice['stop_reason']].some(isThere);
  const { index = 0, token_ids: ids } = choice;
  if (isRare || index !== 0 || typeof content !== 'string') return null;
  const usage = readPlainUsage(json['usage']);
  if (usage === undefined || (isThere(ids) && !isCounts(ids))) return null;
  const delta =
    isThere(ids) && ids.length > 0 ? { text: content, tokenIds: ids } : { text: content };
  return { kind: 'chunk', choices: [{ index, delta, finishReason: null }], usage };
}

/** Undefined where the schema has to judge it. */
function readPlainUsage(usage: unknown): Usage | null | undefined {
  if (!isThere(usage)) return null;
  if (!isObject(usage)) return undefined;
  const { prompt_tokens, completion_tokens, total_tokens } = usage;
  const isWhole = isCount(prompt_tokens) && isCount(completion_tokens) && isCount(total_tokens);
  return isWhole ? { prompt_tokens, completion_tokens, total_tokens } : undefined;
}

function isThere<T>(value: T): value is NonNullable<T> {
  return value !== undefined && value !== null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every(isCount);
}

function readChoice(choice: z.infer<typeof choiceSchema>): ChoiceChunk {
  const index = choice.index ?? 0;
  const { delta, logprobs } = choice;
  const reasoning = delta?.reasoning ?? delta?.reasoning_content ?? '';
  const toolCalls = delta?.tool_calls ?? [];
  const tokenIds = choice.token_ids ?? [];
  return {
    index,
    delta: {
      text: delta?.content ?? choice.text ?? '',
      ...(index === 0 ? {} : { index }),
      ...(reasoning === '' ? {} : { reasoning }),
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
      ...(logprobs ? { logprobs } : {}),
      ...(tokenIds.length === 0 ? {} : { tokenIds }),
    },
    finishReason: choice.finish_reason ?? null,
    ...(typeof choice.stop_reason === 'string' ? { stopString: choice.stop_reason } : {}),
  };
}

function completeUsage({
  prompt_tokens,
  completion_tokens = 0,
  total_tokens = prompt_tokens + completion_tokens,
}: z.infer<typeof usageSchema>): Usage {
  return { prompt_tokens, completion_tokens, total_tokens };
}

function errorStatus(error: unknown): number | null {
  const parsed = z.object({ code: z.coerce.number().int() }).safeParse(error);
  return parsed.success ? parsed.data.code : null;
}
