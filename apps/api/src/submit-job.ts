/** From a valid request to a job in its queue, or to the job that its idempotency key stands for. */
import { createHash, randomUUID } from 'node:crypto';
import type { KnownSubmission, ProducerStore, Submission, TokenBudget } from '@qarr/job-store';
import { inSpan, logJobChange } from '@qarr/process';
import type { Logger, Span, Tracing } from '@qarr/process';
import { QarrError, isCacheable, lowered } from '@qarr/router-core';
import type {
  EngineRequest,
  Fallback,
  IdempotencyKey,
  JobClass,
  JobQuota,
  JobState,
  JobWebhook,
  NewJob,
  OnInterrupt,
  QueuePlace,
  Refusal,
  Rerouted,
  StoredResponse,
} from '@qarr/router-core';
import type { Caller } from './caller.ts';
import type { ApiConfig } from './config.ts';
import { traceFallback } from './fallback-span.ts';
import type { ApiMetrics } from './metrics.ts';
import type { OwedCancels } from './owed-cancels.ts';
import { admissionRequest, placeJob } from './place-job.ts';
import type { Made, PlaceDeps, Placed } from './place-job.ts';
import { errorType } from './request-span.ts';
import { routeTraced } from './route-request.ts';
import type { RouteDeps, RoutedBody, RoutedRequest } from './route-request.ts';
import { isOutcomeUnknown, unknownBecause } from './unknown-outcome.ts';

/** A place comes free when one of its jobs ends: nobody knows when. */
const CONCURRENCY_RETRY_MS = 2_000;

export interface SubmitDeps extends PlaceDeps {
  readonly store: Pick<ProducerStore, 'submit' | 'submitAnswered' | 'findAnswer' | 'findByKey'>;
  readonly metrics: ApiMetrics;
  readonly tracing: Pick<Tracing, 'span'>;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly cancels: Pick<OwedCancels, 'owe'>;
  readonly config: Pick<ApiConfig, 'queueTimeoutMs' | 'runTimeoutMs' | 'admission' | 'cacheTtlMs'>;
}

export interface JobOptions {
  readonly caller: Caller;
  /** Lowered to the highest one that the caller's jobs may have. */
  readonly class: JobClass;
  readonly onInterrupt: OnInterrupt;
  readonly fallback?: Fallback | undefined;
  readonly queueTimeoutMs?: number | undefined;
  readonly runTimeoutMs?: number | undefined;
  readonly metadata?: Record<string, string> | undefined;
  readonly webhook?: JobWebhook | undefined;
  /** Of the span that it is a part of. */
  readonly traceparent: string;
  /** By which its client is answered; of a record of before it was kept nobody knows it. */
  readonly requestId: string | undefined;
  readonly idempotency?: IdempotencyKey | undefined;
  /** Of the job of a response. */
  readonly response?: StoredResponse | undefined;
  /** Nobody waits for the answer once the connection is closed. */
  readonly isBound: boolean;
}

/** A job that the client may rely on. */
export interface AcceptedJob {
  readonly id: string;
  readonly tier: string;
  readonly class: JobClass;
  /** Where it was routed to, if another tier has it. */
  readonly rerouted: Rerouted | null;
  readonly reasons: string[];
  readonly droppedMessages: number;
  readonly status: JobState;
  /** It has the answer that the same request got before. */
  readonly isCached: boolean;
  /** What is left to the caller's key; null where it has no limits, or nothing was taken of them. */
  readonly budget: TokenBudget | null;
  /** Null for a job that was there already. */
  readonly place: QueuePlace | null;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

/** The job that the request's idempotency key stands for already, or else a new one. */
export async function acceptJob(
  body: RoutedBody,
  asked: JobOptions,
  deps: SubmitDeps & RouteDeps,
): Promise<AcceptedJob> {
  return (await findByKey(asked, deps)) ?? acceptNew(body, asked, deps);
}

/** A new one; but where another request with its key was faster, that one's. */
export async function acceptNew(
  body: RoutedBody,
  asked: JobOptions,
  deps: SubmitDeps & RouteDeps,
): Promise<AcceptedJob> {
  const options = { ...asked, class: lowered(asked.class, asked.caller.maxClass) };
  return submitJob(await routeTraced(body, asked.traceparent, deps), options, deps);
}

/** The job that the request's idempotency key stands for already. */
export async function findByKey(
  { caller, idempotency, isBound }: Pick<JobOptions, 'caller' | 'idempotency' | 'isBound'>,
  { store }: Pick<SubmitDeps, 'store'>,
): Promise<AcceptedJob | null> {
  if (idempotency === undefined) return null;
  try {
    const known = await store.findByKey(caller.owner, idempotency);
    return known === null ? null : attachedTo(known);
  } catch (error) {
    throw withAdvice(error, { idempotency, isBound });
  }
}

/** What its worker does is a part of the span by which it was put into its queue. */
export async function submitJob(
  route: RoutedRequest,
  options: JobOptions,
  deps: SubmitDeps,
): Promise<AcceptedJob> {
  const span = deps.tracing.span('enqueue', { kind: 'producer', parent: options.traceparent });
  return inSpan(span, errorType, async () => {
    const { traceparent } = span;
    const accepted = await submit(route, { ...options, traceparent }, { ...deps, span });
    span.set(jobAttributes(accepted));
    return accepted;
  });
}

export function jobAttributes(job: { id: string; class: JobClass; tier: string }) {
  return { 'qarr.job.id': job.id, 'qarr.job.class': job.class, 'qarr.tier': job.tier };
}

async function submit(
  route: RoutedRequest,
  options: JobOptions,
  deps: SubmitDeps & { readonly span: Span },
): Promise<AcceptedJob> {
  const job = newJob(route, options, deps.config);
  const placed = await place(job, { route, options }, deps);
  if (placed.kind === 'refuse') throw refused(placed);
  const { submission, tier, rerouted, isCached } = placed;
  if (submission.kind === 'over_quota') throw overQuota(submission, job);
  if (submission.kind !== 'created') return attachedTo(submission);
  return {
    id: submission.jobId,
    tier,
    class: job.class,
    rerouted,
    reasons: route.reasons,
    droppedMessages: route.droppedMessages,
    status: isCached ? 'completed' : 'queued',
    isCached,
    budget: submission.budget ?? null,
    place: submission.place,
    createdAt: Date.now(),
  };
}

/** Its client may yet be told that nobody knows whether it is there. */
function noteMade(
  job: NewJob,
  {
    jobId: id,
    tier,
    rerouted,
    isCached,
    route,
  }: Made & { isCached: boolean; route: RoutedRequest },
  deps: SubmitDeps & { readonly span: Span },
): void {
  // Another request with its key may have chosen another id.
  const made = { ...job, id, tier };
  deps.span.set(jobAttributes(made));
  deps.metrics.routed(route);
  if (isCached) deps.metrics.cached(tier);
  if (rerouted !== null) {
    deps.metrics.rerouted({ ...rerouted, to: tier });
    traceFallback(deps.tracing, { ...rerouted, to: tier, parent: job.traceparent ?? null });
  }
  logNew(made, { rerouted, isCached }, deps);
}

/** It is there: from now on whoever changes it says so. */
export function logNew(
  job: NewJob,
  { rerouted, isCached }: { rerouted: Rerouted | null; isCached: boolean },
  { log }: Pick<SubmitDeps, 'log'>,
): void {
  const { id: jobId, tier, class: jobClass, reasons, requestId = null, traceparent = null } = job;
  const named = { jobId, tier, class: jobClass, requestId, traceparent };
  const { from, reason } = rerouted ?? {};
  const batch = job.batch === undefined ? {} : { batch_id: job.batch.batchId };
  logJobChange(
    log,
    { ...named, attempt: 0, to: 'queued' },
    { route: reasons, from, reason, ...batch },
  );
  if (isCached) logJobChange(log, { ...named, attempt: 1, to: 'completed' }, { cached: true });
}

async function place(
  job: NewJob,
  { route, options }: { route: RoutedRequest; options: JobOptions },
  deps: SubmitDeps & { readonly span: Span },
): Promise<Refusal | (Exclude<Placed, Refusal> & { isCached: boolean })> {
  const noteAs = (isCached: boolean) => (made: Made) =>
    noteMade(job, { ...made, isCached, route }, deps);
  try {
    const answered = await answerFromCache(job, { onMade: noteAs(true) }, deps);
    if (answered !== null) {
      const { tier } = job;
      return { kind: 'submitted', submission: answered, tier, rerouted: null, isCached: true };
    }
    const asked = admissionRequest(route, job, deps);
    const placed = await placeJob(job, { asked, onMade: noteAs(false) }, deps);
    return placed.kind === 'refuse' ? placed : { ...placed, isCached: false };
  } catch (error) {
    if (!isUnknownOutcome(error)) throw error;
    // Its client is told that it failed: where it was written after all, it must not run.
    if (options.isBound) void deps.cancels.owe(job.id, { mayAppear: true });
    throw withAdvice(error, options);
  }
}

/** Before anything is asked of its tier: an answer that is there needs no engine. */
async function answerFromCache(
  { cache, ...job }: NewJob,
  { onMade }: { onMade: (made: Made) => void },
  { store }: SubmitDeps,
) {
  if (cache === undefined) return null;
  const { tier } = job;
  const answer = await store.findAnswer(tier, cache.requestHash);
  if (answer === null) return null;
  return store.submitAnswered(job, answer, (jobId) => onMade({ jobId, tier, rerouted: null }));
}

export function newJob(
  route: RoutedRequest,
  options: JobOptions,
  config: Omit<SubmitDeps['config'], 'admission'>,
): NewJob {
  return {
    // Random enough not to be guessed; chosen here, so that writing it twice makes one job.
    id: `job_${randomUUID().replaceAll('-', '')}`,
    owner: options.caller.owner,
    class: options.class,
    tier: route.tier,
    requestedTier: route.requestedTier,
    reasons: route.reasons,
    request: route.engineRequest,
    droppedMessages: route.droppedMessages,
    fallback: options.fallback ?? defaultFallback(route),
    fits: Object.keys(route.fits).filter((tier) => route.fits[tier] === true),
    onInterrupt: options.onInterrupt,
    queueTimeoutMs: options.queueTimeoutMs ?? config.queueTimeoutMs[options.class],
    runTimeoutMs: options.runTimeoutMs ?? config.runTimeoutMs,
    metadata: options.metadata ?? {},
    traceparent: options.traceparent,
    requestId: options.requestId,
    webhook: options.webhook,
    response: options.response,
    idempotency: options.idempotency,
    isBound: options.isBound,
    cache: cacheOf(route.engineRequest, options, config),
    quota: quotaOf(route, options),
  };
}

/** Of a key that limits neither jobs nor tokens nothing is taken. */
function quotaOf(
  { features, engineRequest }: RoutedRequest,
  { caller }: Pick<JobOptions, 'caller'>,
): JobQuota | undefined {
  const { keyId, limits } = caller;
  const { concurrency, tokensPerDay } = limits;
  if (keyId === null || (concurrency === null && tokensPerDay === null)) return undefined;
  const { promptTokens, maxTokens } = features;
  const tokens = promptTokens + maxTokens * (engineRequest.n ?? 1);
  return { keyId, concurrency, tokensPerDay, tokens, promptTokens };
}

/** An owner's answers are its own. */
function cacheOf(
  request: EngineRequest,
  { caller }: Pick<JobOptions, 'caller'>,
  { cacheTtlMs }: Pick<SubmitDeps['config'], 'cacheTtlMs'>,
): NewJob['cache'] {
  if (cacheTtlMs === 0 || !isCacheable(request)) return undefined;
  const hash = createHash('sha256').update(JSON.stringify([caller.owner, request]));
  return { requestHash: hash.digest('base64url'), ttlMs: cacheTtlMs };
}

/** A pinned job stays where it is unless its client says otherwise. */
export function defaultFallback({ requestedTier }: Pick<RoutedRequest, 'requestedTier'>): Fallback {
  return requestedTier === null ? 'up' : 'none';
}

function refused({ code, tier, retryAfterMs, waitMs, depth }: Refusal): QarrError {
  return new QarrError(code, {
    congestion: { tier, retryAfterMs, estimatedWaitMs: waitMs, queueDepth: depth },
  });
}

export function overQuota(
  { why, budget }: Submission & { kind: 'over_quota' },
  { quota }: NewJob,
): QarrError {
  if (why === 'concurrency') {
    return new QarrError('rate_limit_exceeded', {
      message: `Concurrency limit reached: ${quota?.concurrency} open jobs at once for this key.`,
      retryAfterMs: CONCURRENCY_RETRY_MS,
    });
  }
  const [asked, limit] = [Math.ceil(quota?.tokens ?? 0), budget.limit ?? 0];
  const left = Math.max(0, limit - budget.used);
  const message =
    asked > limit
      ? `This request may use ${asked} tokens, which is more than the key's whole quota of ${limit} per day: it is refused on any day. Ask for less (max_tokens).`
      : `This request may use ${asked} tokens, and of the key's quota of ${limit} per day ${left} are left. Ask for less (max_tokens), or come back tomorrow (UTC).`;
  return new QarrError('insufficient_quota', { message, retryAfterMs: budget.resetMs });
}

function attachedTo(known: KnownSubmission): AcceptedJob {
  if (known.kind === 'refused') throw new QarrError(known.code, { param: 'Idempotency-Key' });
  const { id, tier, rerouted, reasons, droppedMessages, state, createdAt } = known.record;
  return {
    id,
    tier,
    class: known.record.class,
    rerouted,
    reasons,
    droppedMessages,
    status: state,
    isCached: known.record.result?.cached === true,
    budget: null,
    place: null,
    createdAt,
  };
}

function isUnknownOutcome(error: unknown): error is QarrError {
  return error instanceof QarrError && isOutcomeUnknown(error.code);
}

/** Where the outcome is unknown, says what it is safe to do next. */
export function withAdvice(
  cause: unknown,
  { idempotency, isBound }: Pick<JobOptions, 'idempotency' | 'isBound'>,
): unknown {
  if (!isUnknownOutcome(cause)) return cause;
  const [outcome, advice] = isBound
    ? ['What was accepted of this request is cancelled', 'send it again']
    : idempotency === undefined
      ? [
          'The job may or may not have been accepted',
          'sending it again may make a second one, which an Idempotency-Key prevents',
        ]
      : [
          'The job may or may not have been accepted',
          'send it again with the same Idempotency-Key, which makes no second one',
        ];
  return new QarrError(cause.code, {
    message: `${unknownBecause(cause.code)} ${outcome}: ${advice}.`,
    cause,
  });
}
