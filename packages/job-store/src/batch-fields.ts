/** The record of a batch: how it lies in its hash, and how it is read back. */
import { batchRecordSchema, segmentSchema } from '@qarr/router-core';
import type { BatchRecord, BatchUsage, NewBatch, Segment } from '@qarr/router-core';

/** Before the name of a tier: how far its lines have been fed. */

export type BatchHash = Readonly<Record<string, string | undefined>>;

/** Fields and values in the order in which `batch-create.lua` takes them. */
export function newBatchFields(batch: NewBatch, bodyHash: string | undefined): string[] {
  const fields: Record<string, string> = {
    id: batch.id,
    owner: batch.owner,
    endpoint: batch.endpoint,
    input_file: batch.inputFileId,
    completion_window: batch.completionWindow,
    window_ms: String(batch.windowMs),
    metadata: JSON.stringify(batch.metadata),
    quota: JSON.stringify(batch.quota),
    webhook_url: batch.webhookUrl ?? '',
    output_kept_ms: String(batch.outputKeptMs),
    ...(batch.requestId === undefined ? {} : { request_id: batch.requestId }),
    ...(batch.traceparent === undefined ? {} : { traceparent: batch.traceparent }),
    ...(bodyHash === undefined ? {} : { body_hash: bodyHash }),
  };
  return Object.entries(fields).flat();
}

/** Null where there is none. Throws when the hash is not a record. */
export function parseBatch(hash: BatchHash): BatchRecord | null {
  if (hash['state'] === undefined) return null;
  return batchRecordSchema.parse({
    id: hash['id'],
    owner: hash['owner'],
    state: hash['state'],
    endpoint: hash['endpoint'],
    inputFileId: hash['input_file'],
    completionWindow: hash['completion_window'],
    windowMs: Number(hash['window_ms']),
    metadata: parse(hash['metadata']),
    quota: parse(hash['quota']),
    webhookUrl: hash['webhook_url'] || null,
    outputKeptMs: Number(hash['output_kept_ms']),
    model: hash['model'] || null,
    errors: parse(hash['errors']) ?? [],
    total: count(hash['total']),
    completed: count(hash['completed']),
    failed: count(hash['failed']),
    usage: {
      promptTokens: count(hash['prompt_tokens']),
      cachedTokens: count(hash['cached_tokens']),
      completionTokens: count(hash['completion_tokens']),
      reasoningTokens: count(hash['reasoning_tokens']),
    } satisfies BatchUsage,
    outputFileId: hash['output_file'] || null,
    errorFileId: hash['error_file'] || null,
    requestId: hash['request_id'],
    traceparent: hash['traceparent'],
    createdAt: Number(hash['created_at']),
    expiresAt: Number(hash['expires_at']),
    inProgressAt: time(hash['in_progress_at']),
    finalizingAt: time(hash['finalizing_at']),
    completedAt: time(hash['completed_at']),
    failedAt: time(hash['failed_at']),
    expiredAt: time(hash['expired_at']),
    cancellingAt: time(hash['cancelling_at']),
    cancelledAt: time(hash['cancelled_at']),
  });
}

export function parseSegment(json: string): Segment {
  return segmentSchema.parse(JSON.parse(json));
}

function parse(json: string | undefined): unknown {
  return json === undefined || json === '' ? null : JSON.parse(json);
}

function count(text: string | undefined): number {
  return Number(text ?? 0);
}

function time(text: string | undefined): number | null {
  return text === undefined ? null : Number(text);
}
