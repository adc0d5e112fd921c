/**
 * What a webhook says: that a job or a batch has ended, and how. It is thin: what it made is for
 * whoever may look it up.
 *
 * Standard Webhooks asks for `type`, `timestamp` and `data`, OpenAI's clients know `id`, `object`,
 * `type`, `created_at` and `data`: it has all of them.
 */
import type { EndedBatch, EndedJob } from '@qarr/job-store';

/** The specification's limit is 20 KB; metadata that would pass it is left out. */
const BODY_BYTES_MAX = 20_000;

type Ended = EndedJob | EndedBatch;

export function webhookBody(ended: Ended): string {
  const whole = JSON.stringify(messageOf(ended, ended.metadata));
  if (Buffer.byteLength(whole) < BODY_BYTES_MAX) return whole;
  return JSON.stringify(messageOf(ended, null));
}

function messageOf(ended: Ended, metadata: Ended['metadata']) {
  const endedAt = ended.finishedAt ?? ended.createdAt;
  return {
    id: ended.eventId,
    object: 'event',
    type: `${ended.kind}.${ended.state}`,
    created_at: Math.floor(endedAt / 1_000),
    timestamp: new Date(endedAt).toISOString(),
    data: {
      id: ended.id,
      object: ended.kind,
      status: ended.state,
      ...(ended.kind === 'job' ? { tier: ended.tier } : { endpoint: ended.endpoint }),
      created_at: Math.floor(ended.createdAt / 1_000),
      finished_at: Math.floor(endedAt / 1_000),
      ...(ended.kind === 'job' ? { error: errorOf(ended) } : { request_counts: countsOf(ended) }),
      metadata,
    },
  };
}

function errorOf({ errorCode }: EndedJob): object | null {
  return errorCode === null ? null : { code: errorCode };
}

function countsOf({ total, completed, failed }: EndedBatch): object {
  return { total, completed, failed };
}
