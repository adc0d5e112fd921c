/** The answer to a job that a tier does not take: why, and after which time it should be taken. */
import { maxWaitMs } from './admission-request.ts';
import type { AdmissionOptions, AdmissionRequest } from './admission-request.ts';
import type { ErrorCode } from './errors.ts';
import { depthOf } from './tier-load.ts';
import type { TierSnapshot } from './tier-snapshot.ts';
import { equalOrHigherClasses, estimateWaitMs } from './wait-estimate.ts';

/** Clients with OpenAI's libraries obey no more than a minute. */
const RETRY_AFTER_MS_MAX = 60_000;
const RETRY_AFTER_MS_MIN = 1_000;
/** How far a time to come back is drawn apart, so that those who were refused together do not. */
const JITTER = 0.2;
/** Where nothing is known of how fast the tier is. */
const RETRY_UNKNOWN_MS = 10_000;
/** A queue that is full has room again when so much of it is done. */
const ROOM_SHARE = 0.01;

export type RefuseReason = 'queue_full' | 'batch_paused' | 'wait_too_long' | 'breaker_open';

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

const CODE_OF: Readonly<Record<RefuseReason, ErrorCode>> = {
  queue_full: 'queue_full',
  batch_paused: 'batch_paused',
  wait_too_long: 'overloaded',
  breaker_open: 'tier_unavailable',
};

export function refusal(
  request: AdmissionRequest,
  {
    tier,
    reason,
    options,
  }: { tier: TierSnapshot; reason: RefuseReason; options: AdmissionOptions },
): Refusal {
  // Until its queue was asked: as the last one.
  const ahead = tier.ahead ?? equalOrHigherClasses(tier.load, request.class);
  const waitMs = estimateWaitMs(tier, { class: request.class, ahead });
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
