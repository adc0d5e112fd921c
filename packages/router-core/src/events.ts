/**
 * What a reader of a job sees: the union of its logged events.
 *
 * A log is `queued`, `rerouted` where another tier has taken the job, then for each attempt `started` and its `delta`s, and exactly one terminal
 * event, which is the last. Before the `started` of an attempt whose predecessor had published
 * text stands a `reset`: that text is void. Events are numbered from 1 without a gap.
 */
import { z } from 'zod';
import { ERROR_TABLE } from './errors.ts';
import type { ErrorCode } from './errors.ts';

const errorCodes = Object.keys(ERROR_TABLE) as [ErrorCode, ...ErrorCode[]];

/** Why an engine stopped by itself. Anything else is a failure, whatever the HTTP status said. */
const FINISH_REASONS = ['stop', 'length', 'tool_calls', 'content_filter'] as const;
export const finishReasonSchema = z.enum(FINISH_REASONS);
export type FinishReason = z.infer<typeof finishReasonSchema>;

/** Tokens, as the engine counted them. */
export const usageSchema = z.object({
  prompt_tokens: z.int().nonnegative(),
  completion_tokens: z.int().nonnegative(),
  total_tokens: z.int().nonnegative(),
});
export type Usage = z.infer<typeof usageSchema>;

/** Milliseconds. `ttft_ms` counts from the start of the attempt to its first text. */
export const timingsSchema = z.object({
  queue_wait_ms: z.number().nonnegative(),
  ttft_ms: z.number().nonnegative().nullable(),
  run_ms: z.number().nonnegative(),
});
export type Timings = z.infer<typeof timingsSchema>;

export const jobErrorSchema = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  retryable: z.boolean(),
});
export type JobError = z.infer<typeof jobErrorSchema>;

const queued = z.object({
  type: z.literal('queued'),
  tier: z.string(),
  route: z.array(z.string()),
  position: z.int().nonnegative(),
  estimated_wait_ms: z.number().nonnegative().nullable(),
});

/** Fallback has moved it to another tier. */
const rerouted = z.object({
  type: z.literal('rerouted'),
  from: z.string(),
  to: z.string(),
  reason: z.string(),
});

const started = z.object({
  type: z.literal('started'),
  tier: z.string(),
  worker: z.string(),
  attempt: z.int().positive(),
});

/** More parallel calls than any model makes; it bounds what a broken engine can ask for. */
const TOOL_CALLS_MAX = 128;

/** A piece of a tool call: pieces with the same `index` join, their `arguments` one after another. */
export const toolCallPieceSchema = z.object({
  index: z
    .int()
    .nonnegative()
    .max(TOOL_CALLS_MAX - 1),
  id: z.string().optional(),
  type: z.literal('function').optional(),
  function: z.object({ name: z.string().optional(), arguments: z.string().optional() }).optional(),
});
export type ToolCallPiece = z.infer<typeof toolCallPieceSchema>;

/** More than may be asked for, because the token itself may come on top. */
const TOP_LOGPROBS_MAX = 32;

const tokenLogprobFields = {
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullish(),
};

/** One entry per token, in OpenAI's form; whatever else an engine adds is left out. */
export const logprobsSchema = z.object({
  content: z.array(
    z.object({
      ...tokenLogprobFields,
      top_logprobs: z.array(z.object(tokenLogprobFields)).max(TOP_LOGPROBS_MAX).default([]),
    }),
  ),
});
export type Logprobs = z.infer<typeof logprobsSchema>;

/** `index` names the choice; it is absent for the first one. */
const delta = z.object({
  type: z.literal('delta'),
  text: z.string(),
  index: z.int().positive().optional(),
  reasoning: z.string().optional(),
  tool_calls: z.array(toolCallPieceSchema).optional(),
  logprobs: logprobsSchema.optional(),
});

const reset = z.object({ type: z.literal('reset'), attempt: z.int().positive() });

const completed = z.object({
  type: z.literal('completed'),
  finish_reason: finishReasonSchema,
  /** Of every choice, in their order; only where there is more than one. */
  finish_reasons: z.array(finishReasonSchema).optional(),
  usage: usageSchema.nullable(),
  timings: timingsSchema,
  /** How often the answer was taken up where another attempt had left it. */
  continued: z.int().nonnegative().optional(),
  /** No engine has made it for this job: it was the answer to the same request before. */
  cached: z.literal(true).optional(),
});

const failed = z.object({
  type: z.literal('failed'),
  error: jobErrorSchema,
  usage: usageSchema.nullable(),
  timings: timingsSchema.nullable(),
});

/** `ran` says whether an engine ever worked on it; `tokens` how many it made, where it said so. */
const cancelled = z.object({
  type: z.literal('cancelled'),
  ran: z.boolean(),
  tokens: z.int().nonnegative().nullable(),
  usage: usageSchema.nullable(),
  timings: timingsSchema.nullable(),
});

const expired = z.object({
  type: z.literal('expired'),
  error: jobErrorSchema,
  usage: z.null(),
  timings: z.null(),
});

export const jobEventSchema = z.discriminatedUnion('type', [
  queued,
  rerouted,
  started,
  delta,
  reset,
  completed,
  failed,
  cancelled,
  expired,
]);
export type JobEvent = z.infer<typeof jobEventSchema>;
export type JobEventType = JobEvent['type'];
export type TerminalEvent = z.infer<
  typeof completed | typeof failed | typeof cancelled | typeof expired
>;

/** One event as it lies in the log: `json` is exactly what readers are sent. */
export interface LoggedEvent {
  readonly seq: number;
  readonly type: JobEventType;
  readonly json: string;
}

const TERMINAL_TYPES: ReadonlySet<string> = new Set([
  'completed',
  'failed',
  'cancelled',
  'expired',
]);

export function isTerminalType(type: string): type is TerminalEvent['type'] {
  return TERMINAL_TYPES.has(type);
}

export function jobError(code: ErrorCode, message?: string): JobError {
  const row = ERROR_TABLE[code];
  return { code, message: message ?? row.message, retryable: row.retryable };
}
