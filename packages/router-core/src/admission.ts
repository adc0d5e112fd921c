/**
 * Whether a job is taken, by which tier, or when to come back. Every answer has a reason.
 *
 * What is decided here, from figures that may be a second old, is checked again where the job is
 * written: an answer that takes a job says the limits within which it holds. Where they do not hold,
 * this is asked again, with the figures that were found there.
 *
 * - A tier takes a job while it has room in its queue and can start it in time; batches, which have
 *   time, while it does not alert.
 * - Where it alerts, its breaker is open, or it does not take the job, a job that allows it goes to
 *   the nearest tier that can start it in time and is in no trouble of its own.
 * - Otherwise the job is refused, with the time after which it should be taken.
 *
 * Nothing here looks at how deep a queue is to find whether it alerts: that has a memory, which is
 * the queue's own, so that it does not flap.
 */
import type { ErrorCode } from './errors.ts';
import type { Fallback, JobClass } from './job.ts';
import { depthOf } from './tier-load.ts';
import type { Ahead } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';
import {
  equalOrHigherClasses,
  estimateWaitMs,
  higherClasses,
  tokensAheadMax,
} from './wait-estimate.ts';

/** Clients with OpenAI's libraries obey no more than a minute. */
const RETRY_AFTER_MS_MAX = 60_000;
const RETRY_AFTER_MS_MIN = 1_000;
/** How far a time to come back is drawn apart, so that those who were refused together do not. */
const JITTER = 0.2;
/** Where nothing is known of how fast the tier is. */
const RETRY_UNKNOWN_MS = 10_000;
/** A queue that is full has room again when so much of it is done. */
const ROOM_SHARE = 0.01;

export interface AdmissionRequest {
  readonly tier: string;
  readonly fallback: Fallback;
  readonly class: JobClass;
  readonly queueTimeoutMs: number;
  /** Expected cost. */
  readonly tokens: number;
  /** By tier: whether its context window is large enough. */
  readonly fits: Readonly<Record<string, boolean>>;
  /** In [0, 1). */
  readonly random: number;
}

export interface AdmissionOptions {
  /** Jobs that may wait in a tier. */
  readonly depthMax: number;
  /** Of the time in which a job must start: its estimated wait may use so much, being rough. */
  readonly waitShareMax: number;
  /** Of a tier's slots: so many jobs may other tiers have sent it, and always one. */
  readonly fallbackShareMax: number;
}

/** What must hold at the moment at which the job is written. */
export interface EntryLimits {
  /** Waiting jobs of the tier, all classes. */
  readonly depthMax: number;
  /** Cost of what is before it in its fair order, higher classes included; null: no limit. */
  readonly tokensAheadMax: number | null;
  /** Whether it may enter while the tier alerts. */
  readonly whileAlerting: boolean;
  /** Jobs in the tier that were brought there; null: it is none of them. */
  readonly fallbackJobsMax: number | null;
}

type EnqueueReason = 'slot_free' | 'in_time' | 'wait_unknown' | 'batch';
type SpillReason = 'depth_alert' | 'breaker_open' | 'queue_full' | 'wait_too_long';
export type RefuseReason = 'queue_full' | 'batch_paused' | 'wait_too_long' | 'breaker_open';

export type Admission =
  | {
      readonly kind: 'enqueue';
      readonly tier: string;
      readonly reason: EnqueueReason;
      readonly limits: EntryLimits;
      /** Estimated; null when nobody can tell. */
      readonly waitMs: number | null;
    }
  | {
      readonly kind: 'spill';
      readonly tier: string;
      readonly from: string;
      readonly reason: SpillReason;
      readonly limits: EntryLimits;
      readonly waitMs: number;
    }
  | Refusal;

export interface Refusal {
  readonly kind: 'refuse';
  readonly code: ErrorCode;
  readonly tier: string;
  readonly reason: RefuseReason;
  /** 1,000 to 60,000. */
  readonly retryAfterMs: number;
  readonly waitMs: number | null;
  /** Jobs that wait in the tier. */
  readonly depth: number;
}

/** Where a job may go, and within which limits. */
export interface FallbackTarget {
  readonly tier: TierSnapshot;
  readonly limits: EntryLimits;
  readonly waitMs: number;
}

const CODE_OF: Readonly<Record<RefuseReason, ErrorCode>> = {
  queue_full: 'queue_full',
  batch_paused: 'batch_paused',
  wait_too_long: 'overloaded',
  breaker_open: 'tier_unavailable',
};

/** @param tiers from the least to the most precise, the requested one among them */
export function admit(
  request: AdmissionRequest,
  tiers: readonly TierSnapshot[],
  options: AdmissionOptions,
): Admission {
  const own = tierNamed(request.tier, tiers);
  const verdict = judge(request, { tier: own, options });
  const target = fallbackTarget(request, tiers, options);
  const trouble = troubleOf(own, verdict);
  if (trouble !== null && target !== null) {
    return {
      kind: 'spill',
      tier: target.tier.name,
      from: own.name,
      reason: trouble,
      limits: target.limits,
      waitMs: target.waitMs,
    };
  }
  if (verdict.kind === 'refuses') {
    return refusal(request, { tier: own, reason: verdict.reason, options });
  }
  const limits = limitsOf(request, { tier: own, options });
  // One that could go elsewhere goes there, also when the alert is raised at this moment.
  const whileAlerting = limits.whileAlerting && target === null;
  const { reason, waitMs } = verdict;
  return {
    kind: 'enqueue',
    tier: own.name,
    reason,
    limits: { ...limits, whileAlerting },
    waitMs,
  };
}

/** The answer to a job that a tier does not take. */
export function refusal(
  request: AdmissionRequest,
  {
    tier,
    reason,
    options,
  }: { tier: TierSnapshot; reason: RefuseReason; options: AdmissionOptions },
): Refusal {
  const waitMs = estimateWaitMs(tier, { class: request.class, ahead: leastAhead(request, tier) });
  return {
    kind: 'refuse',
    code: CODE_OF[reason],
    tier: tier.name,
    reason,
    retryAfterMs: jittered(
      untilTakenMs(request, { tier, reason, waitMs, options }),
      request.random,
    ),
    waitMs,
    depth: depthOf(tier.load),
  };
}

/**
 * Where a job may go that its own tier should not have: the nearest tier in the direction that it
 * allows that can start it in time. Null where there is none, and for batches, which wait.
 */
export function fallbackTarget(
  request: AdmissionRequest,
  tiers: readonly TierSnapshot[],
  options: AdmissionOptions,
): FallbackTarget | null {
  if (request.class === 'batch') return null;
  for (const tier of candidates(request, tiers)) {
    const ahead = tier.ahead ?? equalOrHigherClasses(tier.load, request.class);
    const waitMs = estimateWaitMs(tier, { class: request.class, ahead });
    const isInTime = waitMs !== null && waitMs <= maxWaitMs(request, options);
    if (!isInTime || !hasRoomForOthers(tier, options)) continue;
    const limits = {
      ...limitsOf(request, { tier, options }),
      whileAlerting: false,
      fallbackJobsMax: fallbackJobsMax(tier, options),
    };
    return { tier, limits, waitMs };
  }
  return null;
}

function hasRoomForOthers(tier: TierSnapshot, options: AdmissionOptions): boolean {
  return (
    tier.breaker === 'closed' &&
    tier.liveWorkers > 0 &&
    !tier.load.isAlerting &&
    depthOf(tier.load) < options.depthMax &&
    tier.load.fallbackJobs < fallbackJobsMax(tier, options)
  );
}

/** Nearest first; where both directions are allowed, the more precise ones first. */
function candidates(
  { tier: name, fallback, fits }: AdmissionRequest,
  tiers: readonly TierSnapshot[],
): TierSnapshot[] {
  const at = tiers.findIndex((tier) => tier.name === name);
  const up = fallback === 'up' || fallback === 'any' ? tiers.slice(at + 1) : [];
  const down = fallback === 'down' || fallback === 'any' ? tiers.slice(0, at).toReversed() : [];
  return [...up, ...down].filter((tier) => fits[tier.name] === true);
}

type Verdict =
  | { readonly kind: 'takes'; readonly reason: EnqueueReason; readonly waitMs: number | null }
  | { readonly kind: 'refuses'; readonly reason: RefuseReason };

/** Whether a tier takes a job, all others left aside. */
function judge(
  request: AdmissionRequest,
  { tier, options }: { tier: TierSnapshot; options: AdmissionOptions },
): Verdict {
  if (depthOf(tier.load) >= options.depthMax) return { kind: 'refuses', reason: 'queue_full' };
  const ahead = leastAhead(request, tier);
  const waitMs = estimateWaitMs(tier, { class: request.class, ahead });
  if (request.class === 'batch') {
    return tier.load.isAlerting
      ? { kind: 'refuses', reason: 'batch_paused' }
      : { kind: 'takes', reason: 'batch', waitMs };
  }
  if (waitMs === null) return { kind: 'takes', reason: 'wait_unknown', waitMs };
  if (waitMs > maxWaitMs(request, options)) {
    const isOpen = tier.breaker === 'open';
    return { kind: 'refuses', reason: isOpen ? 'breaker_open' : 'wait_too_long' };
  }
  return { kind: 'takes', reason: waitMs === 0 ? 'slot_free' : 'in_time', waitMs };
}

/** Why a job had better go elsewhere, if it had. */
function troubleOf({ breaker, load }: TierSnapshot, verdict: Verdict): SpillReason | null {
  if (breaker === 'open') return 'breaker_open';
  if (load.isAlerting) return 'depth_alert';
  // Batches, which can be paused, go nowhere.
  if (verdict.kind === 'takes' || verdict.reason === 'batch_paused') return null;
  return verdict.reason;
}

function limitsOf(
  request: AdmissionRequest,
  { tier, options }: { tier: TierSnapshot; options: AdmissionOptions },
): EntryLimits {
  const { class: jobClass, tokens } = request;
  const isBatch = jobClass === 'batch';
  return {
    depthMax: options.depthMax,
    tokensAheadMax: isBatch
      ? null
      : tokensAheadMax(tier, { class: jobClass, maxWaitMs: maxWaitMs(request, options), tokens }),
    whileAlerting: !isBatch,
    fallbackJobsMax: null,
  };
}

/** Until its queue was asked, only what certainly is before it: the rest is checked there. */
function leastAhead({ class: jobClass }: AdmissionRequest, { ahead, load }: TierSnapshot): Ahead {
  return ahead ?? higherClasses(load, jobClass);
}

/** How long a job may be estimated to wait where it shall be in time. */
export function maxWaitMs(
  { queueTimeoutMs }: Pick<AdmissionRequest, 'queueTimeoutMs'>,
  { waitShareMax }: AdmissionOptions,
): number {
  return queueTimeoutMs * waitShareMax;
}

function fallbackJobsMax({ slots }: TierSnapshot, { fallbackShareMax }: AdmissionOptions): number {
  return Math.max(1, Math.floor(slots * fallbackShareMax));
}

/** By the rate at which the tier gets its work done. */
function untilTakenMs(
  request: AdmissionRequest,
  {
    tier,
    reason,
    waitMs,
    options,
  }: {
    tier: TierSnapshot;
    reason: RefuseReason;
    waitMs: number | null;
    options: AdmissionOptions;
  },
): number {
  const { load, tokensPerS } = tier;
  const drainMs = (tokens: number) =>
    tokensPerS === null ? RETRY_UNKNOWN_MS : (tokens / tokensPerS) * 1_000;
  switch (reason) {
    case 'breaker_open':
      return waitMs ?? RETRY_UNKNOWN_MS;
    case 'wait_too_long':
      return waitMs === null ? RETRY_UNKNOWN_MS : waitMs - maxWaitMs(request, options);
    case 'batch_paused':
      // An alert ends at half of what raised it.
      return drainMs((load.waiting.interactive.tokens + load.waiting.standard.tokens) / 2);
    case 'queue_full':
      return drainMs(equalOrHigherClasses(load, 'batch').tokens * ROOM_SHARE);
    default:
      return reason satisfies never;
  }
}

/** Bounded before it is drawn apart: at the bounds as well, not all come back at once. */
function jittered(ms: number, random: number): number {
  const least = RETRY_AFTER_MS_MIN / (1 - JITTER);
  const most = RETRY_AFTER_MS_MAX / (1 + JITTER);
  const factor = 1 - JITTER + 2 * JITTER * random;
  return Math.round(Math.min(most, Math.max(least, ms)) * factor);
}

function tierNamed(name: string, tiers: readonly TierSnapshot[]): TierSnapshot {
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) throw new Error(`There is no tier ${name}`);
  return tier;
}
