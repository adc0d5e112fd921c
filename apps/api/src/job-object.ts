/** A job as clients see it. Times are seconds since the epoch, durations milliseconds. */
import { jobErrorSchema, jobResultSchema, timingsSchema, usageSchema } from '@qarr/router-core';
import type { JobRecord, JobSummary, QueuePlace } from '@qarr/router-core';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';

export const jobObjectSchema = z.object({
  id: z.string(),
  object: z.literal('job'),
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'expired']),
  tier: z.string(),
  requested_tier: z.string().nullable(),
  route: z.array(z.string()),
  class: z.string(),
  /** To which other tiers it may be moved. */
  fallback: z.enum(['none', 'up', 'down', 'any']),
  /** Where it was routed to, if another tier has it. */
  rerouted: z.object({ from: z.string(), reason: z.string() }).nullable(),
  /** The line of a batch that it runs. */
  batch: z.object({ id: z.string(), custom_id: z.string() }).nullable(),
  /** While it waits; 1 is next. */
  position: z.int().nullable(),
  estimated_wait_ms: z.number().nullable(),
  attempt: z.int(),
  created_at: z.number(),
  started_at: z.number().nullable(),
  finished_at: z.number().nullable(),
  dropped_messages: z.int(),
  metadata: z.record(z.string(), z.string()),
  result: jobResultSchema.nullable(),
  usage: usageSchema.nullable(),
  timings: timingsSchema.nullable(),
  error: jobErrorSchema.nullable(),
  urls: z.object({ self: z.url(), events: z.url(), cancel: z.url() }),
});

/** In a list: a result may be large, and is fetched with its job, as its place is. */
export const jobSummarySchema = jobObjectSchema.omit({
  result: true,
  position: true,
  estimated_wait_ms: true,
});

/** @param place null for a job that does not wait */
export function jobObject(
  record: JobRecord,
  { request, place }: { request: FastifyRequest; place: QueuePlace | null },
): z.infer<typeof jobObjectSchema> {
  return {
    ...jobSummary(record, request),
    position: place?.position ?? null,
    estimated_wait_ms: place?.estimatedWaitMs ?? null,
    result: record.result,
  };
}

export function jobSummary(
  record: JobSummary,
  request: FastifyRequest,
): z.infer<typeof jobSummarySchema> {
  return {
    id: record.id,
    object: 'job',
    status: record.state,
    tier: record.tier,
    requested_tier: record.requestedTier,
    route: record.reasons,
    class: record.class,
    fallback: record.fallback,
    rerouted: record.rerouted,
    batch:
      record.batch === undefined
        ? null
        : { id: record.batch.batchId, custom_id: record.batch.customId },
    attempt: record.attempt,
    created_at: seconds(record.createdAt),
    started_at: record.startedAt === null ? null : seconds(record.startedAt),
    finished_at: record.finishedAt === null ? null : seconds(record.finishedAt),
    dropped_messages: record.droppedMessages,
    metadata: record.metadata,
    usage: record.usage,
    timings: record.timings,
    error: record.error,
    urls: jobUrls(record.id, request),
  };
}

/** Absolute, so that nobody has to build them. */
export function jobUrls(id: string, request: FastifyRequest) {
  const self = `${request.protocol}://${request.host || localHost(request)}/v1/jobs/${id}`;
  return { self, events: `${self}/events`, cancel: `${self}/cancel` };
}

/** Where the request came to; a client of HTTP/1.0 may not have said how it calls that. */
function localHost({ raw }: FastifyRequest): string {
  const { localAddress = '127.0.0.1', localPort } = raw.socket;
  return `${localAddress.includes(':') ? `[${localAddress}]` : localAddress}:${localPort}`;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
