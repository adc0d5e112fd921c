/** The record of a job: how it lies in its hash, and how it is read back. */
import {
  isTerminalState,
  jobEventSchema,
  jobRecordSchema,
  jobSummarySchema,
} from '@qarr/router-core';
import type { JobRecord, JobSummary, NewJob } from '@qarr/router-core';
import type { Retention } from './retention.ts';

/** Fields and values in the order in which `create.lua` takes them. */
export function newJobFields(
  job: NewJob,
  { tokens, retention }: { tokens: number; retention: Retention },
): string[] {
  const fields: Record<string, string> = {
    id: job.id,
    owner: job.owner,
    class: job.class,
    tier: job.tier,
    requested_tier: job.requestedTier ?? '',
    reasons: JSON.stringify(job.reasons),
    fallback: job.fallback,
    fits: JSON.stringify(job.fits),
    on_interrupt: job.onInterrupt,
    request: JSON.stringify(job.request),
    dropped_messages: String(job.droppedMessages),
    metadata: JSON.stringify(job.metadata),
    cost: String(Math.ceil(tokens)),
    run_timeout_ms: String(job.runTimeoutMs),
    result_ttl_ms: String(retention.resultMs),
    log_ttl_ms: String(retention.logMs),
    ...(job.rerouted === undefined ? {} : { rerouted: JSON.stringify(job.rerouted) }),
    ...(job.cache === undefined
      ? {}
      : { request_hash: job.cache.requestHash, answer_ttl_ms: String(job.cache.ttlMs) }),
    ...(job.idempotency === undefined ? {} : { idempotency_key: job.idempotency.key }),
    ...(job.quota === undefined
      ? {}
      : { quota_key: job.quota.keyId, quota_prompt: String(Math.ceil(job.quota.promptTokens)) }),
    ...(job.traceparent === undefined ? {} : { traceparent: job.traceparent }),
    ...(job.requestId === undefined ? {} : { request_id: job.requestId }),
    ...(job.webhook === undefined
      ? {}
      : { webhook_url: job.webhook.url, webhook_events: job.webhook.events.join(' ') }),
    ...(job.response === undefined ? {} : { response: JSON.stringify(job.response) }),
    ...(job.batch === undefined ? {} : { batch: JSON.stringify(job.batch) }),
  };
  return Object.entries(fields).flat();
}

/** The fields of a record that are small whatever the job: what a list shows of it. */
export const SUMMARY_FIELDS = [
  'id',
  'state',
  'owner',
  'class',
  'tier',
  'requested_tier',
  'reasons',
  'epoch',
  'attempt',
  'seq',
  'fallback',
  'rerouted',
  'cost',
  'on_interrupt',
  'dropped_messages',
  'metadata',
  'created_at',
  'started_at',
  'finished_at',
  'queue_deadline',
  'run_timeout_ms',
  'cancel',
  'final',
  'batch',
] as const;

type Hash = Readonly<Record<string, string | undefined>>;

/** Reads a hash; null when there is none. Throws when the hash is not a record. */
export function parseRecord(hash: Hash): JobRecord | null {
  if (hash['state'] === undefined) return null;
  const [request, result] = [parse(hash['request']), parse(hash['result'])];
  const response = parse(hash['response']) ?? undefined;
  return jobRecordSchema.parse({ ...summaryOf(hash), request, result, response });
}

/** The same of the values of `SUMMARY_FIELDS`. */
export function parseSummary(values: readonly (string | null)[]): JobSummary | null {
  const entries = SUMMARY_FIELDS.map((name, index) => [name, values[index] ?? undefined] as const);
  const hash: Hash = Object.fromEntries(entries);
  return hash['state'] === undefined ? null : jobSummarySchema.parse(summaryOf(hash));
}

function summaryOf(hash: Hash): Record<keyof JobSummary, unknown> {
  return {
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
    rerouted: parse(hash['rerouted']),
    // A record of before it could be known.
    cost: Number(hash['cost'] ?? 1),
    onInterrupt: hash['on_interrupt'],
    droppedMessages: Number(hash['dropped_messages']),
    metadata: parse(hash['metadata']),
    createdAt: Number(hash['created_at']),
    startedAt: hash['started_at'] === undefined ? null : Number(hash['started_at']),
    finishedAt: hash['finished_at'] === undefined ? null : Number(hash['finished_at']),
    queueDeadline: Number(hash['queue_deadline']),
    runTimeoutMs: Number(hash['run_timeout_ms']),
    cancelRequested: hash['cancel'] === '1',
    batch: parse(hash['batch']) ?? undefined,
    ...ending(hash),
  };
}

/** The terminal event holds how the job ended; it is stored once and read from there. */
function ending(hash: Hash): Pick<JobRecord, 'usage' | 'timings' | 'error' | 'tokens'> {
  const nothing = { usage: null, timings: null, error: null, tokens: null };
  const event = parse(hash['final']);
  if (event === null) return nothing;
  const final = jobEventSchema.parse(event);
  if (!('timings' in final) || !isTerminalState(final.type)) return nothing;
  return {
    usage: final.usage,
    timings: final.timings,
    error: 'error' in final ? final.error : null,
    tokens: 'tokens' in final ? final.tokens : (final.usage?.completion_tokens ?? null),
  };
}

function parse(json: string | undefined): unknown {
  return json === undefined || json === '' ? null : JSON.parse(json);
}
