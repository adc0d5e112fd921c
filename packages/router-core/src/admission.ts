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
import { maxWaitMs } from './admission-request.ts';
import type { AdmissionOptions, AdmissionRequest, EntryLimits } from './admission-request.ts';
import { refusal } from './refusal.ts';
import type { Refusal, RefuseReason } from './refusal.ts';
import { depthOf } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';
import {
  equalOrHigherClasses,
  estimateWaitMs,
  higherClasses,
  tokensAheadMax,
} from './wait-estimate.ts';

type EnqueueReason = 'slot_free' | 'in_time' | 'wait_unknown' | 'batch';
type SpillReason = 'depth_alert' | 'breaker_open' | 'queue_full' | 'wait_too_long';

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

/** Where a job may go, and within which limits. */
interface FallbackTarget {
  readonly tier: TierSnapshot;
  readonly limits: EntryLimits;
  readonly waitMs: number;
}

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
  // Until its queue was asked, only what certainly is before it: the rest is checked there.
  const ahead = tier.ahead ?? higherClasses(tier.load, request.class);
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

function fallbackJobsMax({ slots }: TierSnapshot, { fallbackShareMax }: AdmissionOptions): number {
  return Math.max(1, Math.floor(slots * fallbackShareMax));
}

function tierNamed(name: string, tiers: readonly TierSnapshot[]): TierSnapshot {
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) throw new Error(`There is no tier ${name}`);
  return tier;
}
