/** A batch as OpenAI's clients know it. Times are seconds since the epoch. */
import { batchStateSchema } from '@qarr/router-core';
import type { BatchError, BatchRecord, BatchUsage } from '@qarr/router-core';
import { z } from 'zod';

const time = () => z.int().nullable();

const batchErrorsSchema = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      code: z.string(),
      message: z.string(),
      param: z.string().nullable(),
      /** From 1; null where it is the file as a whole. */
      line: z.int().nullable(),
    }),
  ),
});

const batchUsageSchema = z.object({
  input_tokens: z.int(),
  input_tokens_details: z.object({ cached_tokens: z.int() }),
  output_tokens: z.int(),
  output_tokens_details: z.object({ reasoning_tokens: z.int() }),
  total_tokens: z.int(),
});

export const batchObjectSchema = z.object({
  id: z.string(),
  object: z.literal('batch'),
  endpoint: z.string(),
  /** Where all lines name the same. */
  model: z.string().nullable(),
  errors: batchErrorsSchema.nullable(),
  input_file_id: z.string(),
  completion_window: z.string(),
  status: batchStateSchema,
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  created_at: z.int(),
  in_progress_at: time(),
  expires_at: z.int(),
  finalizing_at: time(),
  completed_at: time(),
  failed_at: time(),
  expired_at: time(),
  cancelling_at: time(),
  cancelled_at: time(),
  request_counts: z.object({ total: z.int(), completed: z.int(), failed: z.int() }),
  /** Of the lines that are completed so far; null until the file has been validated. */
  usage: batchUsageSchema.nullable(),
  metadata: z.record(z.string(), z.string()).nullable(),
});
type BatchObject = z.infer<typeof batchObjectSchema>;

export function batchObject(record: BatchRecord): BatchObject {
  const { total, completed, failed } = record;
  return {
    id: record.id,
    object: 'batch',
    endpoint: record.endpoint,
    model: record.model,
    errors: errorsOf(record.errors),
    input_file_id: record.inputFileId,
    completion_window: record.completionWindow,
    status: record.state,
    output_file_id: record.outputFileId,
    error_file_id: record.errorFileId,
    created_at: seconds(record.createdAt),
    in_progress_at: secondsOrNull(record.inProgressAt),
    expires_at: seconds(record.expiresAt),
    finalizing_at: secondsOrNull(record.finalizingAt),
    completed_at: secondsOrNull(record.completedAt),
    failed_at: secondsOrNull(record.failedAt),
    expired_at: secondsOrNull(record.expiredAt),
    cancelling_at: secondsOrNull(record.cancellingAt),
    cancelled_at: secondsOrNull(record.cancelledAt),
    request_counts: { total, completed, failed },
    usage: total === 0 ? null : usageOf(record.usage),
    metadata: record.metadata,
  };
}

function errorsOf(errors: readonly BatchError[]): BatchObject['errors'] {
  if (errors.length === 0) return null;
  return {
    object: 'list',
    data: errors.map(({ code, message, param, line }) => ({ code, message, param, line })),
  };
}

function usageOf(usage: BatchUsage): BatchObject['usage'] {
  const { promptTokens, cachedTokens, completionTokens, reasoningTokens } = usage;
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: reasoningTokens },
    total_tokens: promptTokens + completionTokens,
  };
}

function secondsOrNull(ms: number | null): number | null {
  return ms === null ? null : seconds(ms);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
