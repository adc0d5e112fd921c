/** The record of a job: how it lies in its hash, and how it is read back. */
import { isTerminalState, jobEventSchema, jobRecordSchema } from '@qarr/router-core';
import type { JobRecord, NewJob } from '@qarr/router-core';
import type { Retention } from './retention.ts';

/** Fields and values in the order in which `create.lua` takes them. */
export function newJobFields(job: NewJob, retention: Retention): string[] {
  const fields: Record<string, string> = {
    id: job.id,
    owner: job.owner,
    class: job.class,
    tier: job.tier,
    requested_tier: job.requestedTier ?? '',
    reasons: JSON.stringify(job.reasons),
    fallback: job.fallback,
    on_interrupt: job.onInterrupt,
    request: JSON.stringify(job.request),
    dropped_messages: String(job.droppedMessages),
    metadata: JSON.stringify(job.metadata),
    run_timeout_ms: String(job.runTimeoutMs),
    result_ttl_ms: String(retention.resultMs),
    log_ttl_ms: String(retention.logMs),
    ...(job.traceparent === undefined ? {} : { traceparent: job.traceparent }),
  };
  return Object.entries(fields).flat();
}

/** Reads a hash; null when there is none. Throws when the hash is not a record. */
export function parseRecord(hash: Record<string, string>): JobRecord | null {
  if (hash['state'] === undefined) return null;
  return jobRecordSchema.parse({
    id: hash['id'],
    state: hash['state'],
    owner: hash['owner'],
    class: hash['class'],
    tier: hash['tier'],
    requestedTier: hash['requested_tier'] || null,
    reasons: parse(hash['reasons']),
    epoch: Number(hash['epoch']),
    attempt: Number(hash['attempt']),
    seq: Number(hash['seq']),
    fallback: hash['fallback'],
    onInterrupt: hash['on_interrupt'],
    request: parse(hash['request']),
    droppedMessages: Number(hash['dropped_messages']),
    metadata: parse(hash['metadata']),
    createdAt: Number(hash['created_at']),
    startedAt: hash['started_at'] === undefined ? null : Number(hash['started_at']),
    finishedAt: hash['finished_at'] === undefined ? null : Number(hash['finished_at']),
    queueDeadline: Number(hash['queue_deadline']),
    runTimeoutMs: Number(hash['run_timeout_ms']),
    cancelRequested: hash['cancel'] === '1',
    result: parse(hash['result']),
    ...ending(hash),
  });
}

/** The terminal event holds how the job ended; it is stored once and read from there. */
function ending(hash: Record<string, string>): Pick<JobRecord, 'usage' | 'timings' | 'error'> {
  const nothing = { usage: null, timings: null, error: null };
  const event = parse(hash['final']);
  if (event === null) return nothing;
  const final = jobEventSchema.parse(event);
  if (!('timings' in final) || !isTerminalState(final.type)) return nothing;
  return {
    usage: final.usage,
    timings: final.timings,
    error: 'error' in final ? final.error : null,
  };
}

function parse(json: string | undefined): unknown {
  return json === undefined || json === '' ? null : JSON.parse(json);
}
