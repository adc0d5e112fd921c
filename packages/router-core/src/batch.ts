/**
 * The life of a batch.
 *
 * - `validating`: its file is read once. Leaves to `in_progress`, or to `failed` with the lines that
 *   are wrong.
 * - `in_progress`: its lines are fed as jobs, a few at a time. Leaves when each line has its outcome;
 *   also when its time is up, after which each line without an outcome gets one that says so.
 * - `cancelling`: the same after a cancel.
 * - `finalizing`: each line has its outcome, and the two files are being written.
 *   Leaves to `failed` where outcomes that were durable are gone from the file store, as does a cancelled
 *   one.
 * - `completed`, `failed`, `expired`, `cancelled`: terminal. Nothing leaves them.
 *
 * Outcomes are counted when they are durable: completed + failed is never more than total, and
 * equals it in the end, whichever end that is but `failed` for an invalid file.
 */
import { z } from 'zod';

const BATCH_STATES = [
  'validating',
  'in_progress',
  'cancelling',
  'finalizing',
  'completed',
  'failed',
  'expired',
  'cancelled',
] as const;
export const batchStateSchema = z.enum(BATCH_STATES);
export type BatchState = z.infer<typeof batchStateSchema>;

/** From each state, the states that may follow. The Lua scripts of the job store obey this table. */
export const BATCH_TRANSITIONS: Readonly<Record<BatchState, readonly BatchState[]>> = {
  validating: ['in_progress', 'failed', 'cancelling'],
  in_progress: ['finalizing', 'cancelling'],
  cancelling: ['cancelled', 'failed'],
  finalizing: ['completed', 'expired', 'cancelling', 'failed'],
  completed: [],
  failed: [],
  expired: [],
  cancelled: [],
};

export function isBatchOver(state: BatchState): boolean {
  return BATCH_TRANSITIONS[state].length === 0;
}

const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/v1/responses'] as const;
export const batchEndpointSchema = z.enum(
  BATCH_ENDPOINTS,
  `must be one of ${BATCH_ENDPOINTS.join(', ')}`,
);
export type BatchEndpoint = z.infer<typeof batchEndpointSchema>;

/** What is wrong with an input file; `line` counts from 1, null where it is the file as a whole. */
const batchErrorSchema = z.object({
  code: z.string(),
  message: z.string(),
  param: z.string().nullable(),
  line: z.int().positive().nullable(),
});
export type BatchError = z.infer<typeof batchErrorSchema>;

const batchUsageSchema = z.object({
  promptTokens: z.int().nonnegative(),
  cachedTokens: z.int().nonnegative(),
  completionTokens: z.int().nonnegative(),
  reasoningTokens: z.int().nonnegative(),
});
/** Of all its completed lines. */
export type BatchUsage = z.infer<typeof batchUsageSchema>;

/** Of its owner's key when it was made: what its lines take of the key's tokens. */
const batchQuotaSchema = z.object({ keyId: z.string(), tokensPerDay: z.int().positive() });

/** Times are milliseconds since the epoch by Redis's clock. */
export const batchRecordSchema = z.object({
  /** `batch_` and 32 hexadecimal digits. */
  id: z.string(),
  owner: z.string(),
  state: batchStateSchema,
  endpoint: batchEndpointSchema,
  inputFileId: z.string(),
  /** As it was given, such as `24h`. */
  completionWindow: z.string(),
  windowMs: z.int().positive(),
  metadata: z.record(z.string(), z.string()).nullable(),
  quota: batchQuotaSchema.nullable(),
  webhookUrl: z.string().nullable(),
  /** How long its files are kept, from its creation or, if that is later, its end. */
  outputKeptMs: z.int().positive(),
  /** The model that its lines name, where they all name the same; null before it is validated. */
  model: z.string().nullable(),
  errors: z.array(batchErrorSchema),
  total: z.int().nonnegative(),
  completed: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  usage: batchUsageSchema,
  outputFileId: z.string().nullable(),
  errorFileId: z.string().nullable(),
  createdAt: z.int(),
  expiresAt: z.int(),
  inProgressAt: z.int().nullable(),
  finalizingAt: z.int().nullable(),
  completedAt: z.int().nullable(),
  failedAt: z.int().nullable(),
  expiredAt: z.int().nullable(),
  cancellingAt: z.int().nullable(),
  cancelledAt: z.int().nullable(),
  /** Of the request that made it; none where the record is of before they were kept. */
  requestId: z.string().optional(),
  traceparent: z.string().optional(),
});
export type BatchRecord = z.infer<typeof batchRecordSchema>;

/** As it is written: the store adds Redis's clock and the beginning of its life. */
export type NewBatch = Pick<
  BatchRecord,
  | 'id'
  | 'owner'
  | 'endpoint'
  | 'inputFileId'
  | 'completionWindow'
  | 'windowMs'
  | 'metadata'
  | 'quota'
  | 'webhookUrl'
  | 'outputKeptMs'
  | 'requestId'
  | 'traceparent'
>;

/**
 * Outcomes that were made durable together, as an object of the file store: first the lines of the
 * output file, then those of the error file, each with its newline.
 */
export const segmentSchema = z.object({
  /** In the file store. */
  name: z.string(),
  outputLines: z.int().nonnegative(),
  outputBytes: z.int().nonnegative(),
  errorLines: z.int().nonnegative(),
  errorBytes: z.int().nonnegative(),
});
export type Segment = z.infer<typeof segmentSchema>;

/** Of the job of a line: where its outcome belongs. */
export const batchLineRefSchema = z.object({
  batchId: z.string(),
  /** From 0, among the lines that are not blank. */
  line: z.int().nonnegative(),
  customId: z.string(),
});
export type BatchLineRef = z.infer<typeof batchLineRefSchema>;

/**
 * The id of the job of a line: always the same, so that a line makes one job however often it is
 * submitted, and as hard to guess as its batch's.
 */
export function lineJobId(batchId: string, line: number): string {
  return `job_${batchId.replace(/^batch_/, '')}_${line}`;
}
