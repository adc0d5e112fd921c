/**
 * What a webhook says: that a job has ended, and how. It is thin: what the job made is for whoever
 * may look it up.
 *
 * Standard Webhooks asks for `type`, `timestamp` and `data`, OpenAI's clients know `id`, `object`,
 * `type`, `created_at` and `data`: it has all of them.
 */
import type { EndedJob } from '@qarr/job-store';

/** The specification's limit is 20 KB; metadata that would pass it is left out. */
const BODY_BYTES_MAX = 20_000;

export function webhookBody(job: EndedJob): string {
  const whole = JSON.stringify(messageOf(job));
  if (Buffer.byteLength(whole) < BODY_BYTES_MAX) return whole;
  return JSON.stringify(messageOf({ ...job, metadata: null }));
}

function messageOf(job: Omit<EndedJob, 'metadata'> & Pick<NullableMetadata, 'metadata'>) {
  const endedAt = job.finishedAt ?? job.createdAt;
  return {
    id: job.eventId,
    object: 'event',
    type: `job.${job.state}`,
    created_at: Math.floor(endedAt / 1_000),
    timestamp: new Date(endedAt).toISOString(),
    data: {
      id: job.id,
      object: 'job',
      status: job.state,
      tier: job.tier,
      created_at: Math.floor(job.createdAt / 1_000),
      finished_at: Math.floor(endedAt / 1_000),
      error: job.errorCode === null ? null : { code: job.errorCode },
      metadata: job.metadata,
    },
  };
}

interface NullableMetadata {
  metadata: Readonly<Record<string, string>> | null;
}
