/**
 * The life of a job.
 *
 * - `queued`: it waits in its tier's queue. Leaves by a worker's claim, by cancel, by its queue
 *   deadline, or by being given up after too many attempts.
 * - `running`: one attempt owns it. Leaves by that attempt's end, or back to `queued` when the
 *   attempt is handed back or retried.
 * - `completed`, `failed`, `cancelled`, `expired`: terminal. Nothing leaves them.
 */
import { z } from 'zod';
import {
  finishReasonSchema,
  jobErrorSchema,
  logprobsSchema,
  timingsSchema,
  usageSchema,
} from './events.ts';
import type { JobError } from './events.ts';
import { batchLineRefSchema } from './batch.ts';
import type { BatchLineRef } from './batch.ts';
import { engineRequestSchema } from './engine-request.ts';
import { storedResponseSchema } from './stored-response.ts';
import type { StoredResponse } from './stored-response.ts';
import type { JobWebhook } from './webhook-fields.ts';

const JOB_STATES = ['queued', 'running', 'completed', 'failed', 'cancelled', 'expired'] as const;
export const jobStateSchema = z.enum(JOB_STATES, oneOf(JOB_STATES));
export type JobState = z.infer<typeof jobStateSchema>;

/** In which a job may end. */
export const TERMINAL_STATES = ['completed', 'failed', 'cancelled', 'expired'] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];

/** From each state, the states that may follow. The Lua scripts of the job store obey this table. */
export const JOB_TRANSITIONS: Readonly<Record<JobState, readonly JobState[]>> = {
  queued: ['running', 'cancelled', 'expired', 'failed'],
  running: ['completed', 'failed', 'cancelled', 'expired', 'queued'],
  completed: [],
  failed: [],
  cancelled: [],
  expired: [],
};

export function canTransition(from: JobState, to: JobState): boolean {
  return JOB_TRANSITIONS[from].includes(to);
}

export function isTerminalState(state: JobState): state is TerminalState {
  return JOB_TRANSITIONS[state].length === 0;
}

/** Who may be served first: connected clients, then jobs, then batches. */
const JOB_CLASSES = ['interactive', 'standard', 'batch'] as const;
export const jobClassSchema = z.enum(JOB_CLASSES, oneOf(JOB_CLASSES));
export type JobClass = z.infer<typeof jobClassSchema>;

/** What becomes of an answer that is interrupted after its first token was published. */
const ON_INTERRUPT = ['continue', 'fail', 'restart'] as const;
export const onInterruptSchema = z.enum(ON_INTERRUPT, oneOf(ON_INTERRUPT));
export type OnInterrupt = z.infer<typeof onInterruptSchema>;

/** To which other tiers a job may be moved. It is a permission, never an obligation. */
const FALLBACKS = ['none', 'up', 'down', 'any'] as const;
export const fallbackSchema = z.enum(FALLBACKS, oneOf(FALLBACKS));
export type Fallback = z.infer<typeof fallbackSchema>;

/** A whole tool call, in OpenAI's form. */
const toolCallSchema = z.object({
  id: z.string(),
  type: z.literal('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});
export type ToolCall = z.infer<typeof toolCallSchema>;

const choiceFields = {
  text: z.string(),
  reasoning: z.string().optional(),
  tool_calls: z.array(toolCallSchema).optional(),
  logprobs: logprobsSchema.optional(),
  finish_reason: finishReasonSchema,
};

/**
 * The answer of a completed job: the concatenated deltas since its last reset. The fields of the
 * first choice stand at the top; `choices` holds all of them where there is more than one.
 */
export const jobResultSchema = z.object({
  ...choiceFields,
  choices: z.array(z.object(choiceFields)).optional(),
  /** How often the answer was taken up where another attempt had left it. */
  continued: z.int().nonnegative().optional(),
  /** No engine has made it for this job: it was the answer to the same request before. */
  cached: z.literal(true).optional(),
});
export type JobResult = z.infer<typeof jobResultSchema>;

/** What a client has named its request, so that sending it again makes no second job. */
export interface IdempotencyKey {
  readonly key: string;
  /** Of the request: another one must not have the same key. */
  readonly bodyHash: string;
}

/** What a job takes of the limits of its key, for as long as it is open. */
export interface JobQuota {
  readonly keyId: string;
  /** Jobs of the key at once; null: as many as come. */
  readonly concurrency: number | null;
  /** Null: as many as are asked for. */
  readonly tokensPerDay: number | null;
  /** The most that it can use, of its prompt and its answer. */
  readonly tokens: number;
  /** Of these, its prompt, as it is estimated. */
  readonly promptTokens: number;
}

const reroutedSchema = z.object({ from: z.string(), reason: z.string() });
export type Rerouted = z.infer<typeof reroutedSchema>;

/** A new job, as it is written. Times are durations; the store adds Redis's clock. */
export interface NewJob {
  id: string;
  owner: string;
  class: JobClass;
  tier: string;
  /** The tier the client pinned, or null when the router chose. */
  requestedTier: string | null;
  reasons: string[];
  request: z.infer<typeof engineRequestSchema>;
  /** Messages left out of `request` because the client allowed it (`truncation: "auto"`). */
  droppedMessages: number;
  fallback: Fallback;
  /** Tiers whose context windows are large enough for it. */
  fits: readonly string[];
  /** Where it was routed to, if another tier takes it instead, and why that is so. */
  rerouted?: Rerouted | undefined;
  onInterrupt: OnInterrupt;
  queueTimeoutMs: number;
  runTimeoutMs: number;
  metadata: Record<string, string>;
  /** W3C trace context of the request that made the job. */
  traceparent?: string | undefined;
  /** By which its client was answered. */
  requestId?: string | undefined;
  idempotency?: IdempotencyKey | undefined;
  /** Its answer may be given to the same request again, for so long. */
  cache?: { readonly requestHash: string; readonly ttlMs: number } | undefined;
  /** It is cancelled when the replica that writes it is gone: its client has no other. */
  isBound?: boolean | undefined;
  /** Where its end is announced, if anywhere. */
  webhook?: JobWebhook | undefined;
  /** Not said: its key has no limits of this kind. */
  quota?: JobQuota | undefined;
  /** It is the job of a response. */
  response?: StoredResponse | undefined;
  /** It is the job of a line of a batch, whose index has it in place of its owner's. */
  batch?: BatchLineRef | undefined;
  /** By Redis's clock, in milliseconds: it is not written from then on. */
  writeBefore?: number | undefined;
}

/** The record of a job. Times are milliseconds since the epoch by Redis's clock. */
export const jobRecordSchema = z.object({
  id: z.string(),
  state: jobStateSchema,
  owner: z.string(),
  class: jobClassSchema,
  tier: z.string(),
  requestedTier: z.string().nullable(),
  reasons: z.array(z.string()),
  epoch: z.int().positive(),
  attempt: z.int().nonnegative(),
  seq: z.int().positive(),
  fallback: fallbackSchema,
  /** The tier that it came from, if fallback has moved it. */
  rerouted: reroutedSchema.nullable(),
  /** What it was expected to cost, in generated tokens. */
  cost: z.int().nonnegative(),
  onInterrupt: onInterruptSchema,
  request: engineRequestSchema,
  droppedMessages: z.int().nonnegative(),
  metadata: z.record(z.string(), z.string()),
  createdAt: z.int(),
  startedAt: z.int().nullable(),
  finishedAt: z.int().nullable(),
  queueDeadline: z.int(),
  runTimeoutMs: z.int().positive(),
  cancelRequested: z.boolean(),
  result: jobResultSchema.nullable(),
  /** Only of the job of a response. */
  response: storedResponseSchema.optional(),
  /** Only of the job of a line of a batch. */
  batch: batchLineRefSchema.optional(),
  usage: usageSchema.nullable(),
  timings: timingsSchema.nullable(),
  error: jobErrorSchema.nullable(),
  /** Tokens that were made, of a job that has ended, where somebody knows. */
  tokens: z.int().nonnegative().nullable(),
});
export type JobRecord = z.infer<typeof jobRecordSchema>;

/** The same without what may be large. */
export const jobSummarySchema = jobRecordSchema.omit({
  request: true,
  result: true,
  response: true,
});
export type JobSummary = z.infer<typeof jobSummarySchema>;

/** A change of a job's state, for whoever watches. */
export interface JobChange {
  readonly jobId: string;
  readonly to: JobState | 'requeued' | 'rerouted' | 'deleted';
  /** Of one that is deleted: it had not ended, so that this is its end. */
  readonly wasOpen?: boolean;
  /** Of one that has failed or expired. */
  readonly cause?: JobError['code'] | undefined;
  readonly tier: string;
  readonly class: JobClass;
  /** How many there were. */
  readonly attempt: number;
  /** Null where the record is of before it was kept. */
  readonly requestId: string | null;
  readonly traceparent: string | null;
}

function oneOf(values: readonly string[]): string {
  return `must be one of ${values.join(', ')}`;
}
