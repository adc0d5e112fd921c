/** Makes a job of a line, as the route of its endpoint makes one of a body. */
import type { ProducerStore } from '@qarr/job-store';
import type { Logger, Tracing } from '@qarr/process';
import {
  NO_LIMITS,
  NO_PACE,
  QarrError,
  SCOPES,
  errorRow,
  lineJobId,
  parseLineBody,
} from '@qarr/router-core';
import type { BatchRecord, EntryLimits, NewJob } from '@qarr/router-core';
import type { Caller } from '../caller.ts';
import { admissionRequest } from '../place-job.ts';
import { routeRequest } from '../route-request.ts';
import type { RouteDeps, RoutedRequest } from '../route-request.ts';
import { logNew, newJob, overQuota } from '../submit-job.ts';
import type { JobOptions } from '../submit-job.ts';
import type { TierWatch } from '../tier-watch.ts';
import { askedByLine } from './line-job.ts';
import { beginLineSpans } from './line-spans.ts';
import type { LineSpans } from './line-spans.ts';

/** Tokens come free before the day is over when jobs use less than they might. */
const QUOTA_RETRY_MS_MAX = 5_000;

export interface FeedLineDeps extends RouteDeps {
  readonly store: Pick<ProducerStore, 'submit'>;
  readonly watch: RouteDeps['watch'] & Pick<TierWatch, 'snapshots' | 'learn'>;
  readonly config: { readonly runTimeoutMs: number };
  readonly tracing: Pick<Tracing, 'span'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

export interface LineToFeed {
  readonly line: number;
  readonly customId: string;
  /** As the file has it. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What became of a line. */
export type FedLine =
  | { readonly kind: 'in_system'; readonly tier: string }
  /** This is its outcome. */
  | { readonly kind: 'refused'; readonly error: QarrError; readonly tier: string | null }
  /** Its job was there, and was deleted. */
  | { readonly kind: 'deleted' }
  /** The tier, or Redis, has no room for it now. */
  | { readonly kind: 'full'; readonly tier: string }
  | { readonly kind: 'unavailable' }
  /** The day's tokens of its key are used up. */
  | { readonly kind: 'over_quota'; readonly retryInMs: number };

export async function feedLine(
  { line, customId, body }: LineToFeed,
  {
    batch,
    now,
    writeBefore,
    limitsOf,
  }: {
    batch: BatchRecord;
    /** By Redis's clock, as are all times here. */
    now: number;
    writeBefore: number;
    limitsOf: (tier: string) => EntryLimits;
  },
  deps: FeedLineDeps,
): Promise<FedLine> {
  let tier: string | null = null;
  const spans = beginLineSpans(deps.tracing, { batch, line });
  try {
    const reading = parseLineBody(batch.endpoint, body);
    if (reading.kind === 'refused') throw reading.error;
    const asked = askedByLine(reading.request);
    const route = await routeRequest(asked.body, deps);
    ({ tier } = route);
    const leftMs = Math.max(1, batch.expiresAt - now);
    const { fallback = 'none', queueTimeoutMs = leftMs } = asked.options;
    const options: JobOptions = {
      ...asked.options,
      fallback,
      queueTimeoutMs: Math.min(leftMs, queueTimeoutMs),
      caller: callerOf(batch),
      class: 'batch',
      isBound: false,
      traceparent: spans.routed(route),
      requestId: batch.requestId,
    };
    const job: NewJob = {
      ...newJob(route, options, jobConfig(deps)),
      id: lineJobId(batch.id, line),
      batch: { batchId: batch.id, line, customId },
      writeBefore,
    };
    return await submit(job, { route, limitsOf, spans }, deps);
  } catch (error) {
    if (!(error instanceof QarrError)) throw error;
    if (errorRow(error.code).httpStatus >= 500) return { kind: 'unavailable' };
    spans.refused(error);
    return { kind: 'refused', error, tier };
  }
}

async function submit(
  job: NewJob,
  {
    route,
    limitsOf,
    spans,
  }: {
    route: RoutedRequest;
    limitsOf: (tier: string) => EntryLimits;
    spans: LineSpans;
  },
  deps: FeedLineDeps,
): Promise<FedLine> {
  const { store, watch } = deps;
  const { tier } = job;
  const limits = limitsOf(tier);
  if (limits.batchWaitingMax === 0) return { kind: 'full', tier };
  const submission = await store.submit(job, {
    tokens: admissionRequest(route, job, deps).tokens,
    limits,
    pace: watch.snapshots().find(({ name }) => name === tier) ?? NO_PACE,
    // Where this is not known here after all, the line comes again, and its job is there.
    onCreated() {
      logNew(job, { rerouted: null, isCached: false }, deps);
      spans.fed(job);
    },
  });
  switch (submission.kind) {
    case 'created':
      if (submission.found !== undefined) watch.learn(tier, submission.found.load);
      return { kind: 'in_system', tier };
    case 'attached':
      return { kind: 'in_system', tier };
    case 'full':
      watch.learn(tier, submission.load);
      return { kind: 'full', tier };
    case 'over_quota': {
      const { limit, resetMs } = submission.budget;
      const isNeverWithin = limit !== null && (job.quota?.tokens ?? 0) > limit;
      if (isNeverWithin) {
        const error = overQuota(submission, job);
        spans.refused(error);
        return { kind: 'refused', error, tier };
      }
      return { kind: 'over_quota', retryInMs: Math.min(resetMs, QUOTA_RETRY_MS_MAX) };
    }
    case 'refused':
      return { kind: 'deleted' };
    default:
      return submission satisfies never;
  }
}

function jobConfig({ config: { runTimeoutMs } }: FeedLineDeps) {
  // Each line says how long it may wait; no answer is given twice.
  return { runTimeoutMs, queueTimeoutMs: { interactive: 0, standard: 0, batch: 0 }, cacheTtlMs: 0 };
}

/** A batch goes on as its owner, whatever has become of the key that made it. */
function callerOf({ owner, quota }: BatchRecord): Caller {
  return {
    owner,
    keyId: quota?.keyId ?? null,
    scopes: new Set(SCOPES),
    maxClass: 'batch',
    limits: { ...NO_LIMITS, tokensPerDay: quota?.tokensPerDay ?? null },
  };
}
