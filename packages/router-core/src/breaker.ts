/**
 * A circuit breaker, as a pure state machine: who calls something that may be broken asks it before
 * and tells it after.
 *
 *   closed     all calls go. So many hard failures in a row, or too large a share of the calls of the
 *              last half minute: open.
 *   open       none goes. Its time is up and somebody asks, or what is called has started anew:
 *              half-open.
 *   half-open  one call at a time goes, a probe. So many succeed: closed. One fails: open, for twice
 *              as long as the last time.
 *
 * A hard failure is one that only a broken callee has: a refused request, one that we broke off, and
 * "too busy" are `neutral`. What comes of a call that was let go in an earlier state is no news, so that
 * one incident in which many calls fail opens it once.
 *
 * Serialisable; the clock is any that does not run backwards.
 */

export interface BreakerOptions {
  /** Hard failures in a row that open it; 0: it never opens by itself. */
  readonly failureThreshold: number;
  /** It also opens when so large a share of the calls in this time fails, of at least so many. */
  readonly windowMs: number;
  readonly windowCallsMin: number;
  readonly windowFailureShare: number;
  /** The first time that it is open; each further one is twice as long, up to the largest. */
  readonly resetTimeoutMs: number;
  readonly resetTimeoutMsMax: number;
  /** Probes that close it. */
  readonly successThreshold: number;
  /** Closed for so long, it forgets one of the times that it was open. */
  readonly calmMs: number;
}

export const BREAKER_DEFAULTS: BreakerOptions = {
  failureThreshold: 5,
  windowMs: 30_000,
  windowCallsMin: 20,
  windowFailureShare: 0.5,
  resetTimeoutMs: 15_000,
  resetTimeoutMsMax: 300_000,
  successThreshold: 3,
  calmMs: 600_000,
};

/** The window moves by a tenth of itself. */
const BUCKETS = 10;
/** Share by which the time of being open is shortened or stretched: who waits for it shall spread. */
const JITTER = 0.2;

/** Calls that began to be counted at a time. */
interface Bucket {
  readonly fromMs: number;
  readonly calls: number;
  readonly failures: number;
}

interface Kept {
  /** How often it was open lately: it decides how long it is the next time. */
  readonly trips: number;
  /** Grows with every change of state and every probe: a call with an older one is no news. */
  readonly serial: number;
}

export type Breaker = Kept &
  (
    | {
        readonly kind: 'closed';
        readonly sinceMs: number;
        readonly failuresInARow: number;
        readonly buckets: readonly Bucket[];
      }
    | { readonly kind: 'open'; readonly untilMs: number }
    | { readonly kind: 'half_open'; readonly successes: number; readonly isProbing: boolean }
  );

/** Leave to make one call. Whoever has one owes its outcome: `settleBreaker`. */
export interface Permit {
  readonly serial: number;
}

export type CallOutcome = 'succeeded' | 'failed' | 'neutral';

export type Asked = { readonly breaker: Breaker } & (
  | { readonly kind: 'go'; readonly permit: Permit }
  /** `retryInMs`: null while a probe is under way, as nobody knows when it ends. */
  | { readonly kind: 'wait'; readonly retryInMs: number | null }
);

export function closedBreaker(nowMs: number): Breaker {
  return closed({ trips: 0, serial: 0 }, nowMs);
}

/** May a call be made now? What is asked when the time of being open is up gets the probe. */
export function askBreaker(breaker: Breaker, nowMs: number): Asked {
  switch (breaker.kind) {
    case 'closed':
      return { kind: 'go', breaker, permit: { serial: breaker.serial } };
    case 'open':
      if (nowMs < breaker.untilMs) {
        return { kind: 'wait', breaker, retryInMs: breaker.untilMs - nowMs };
      }
      return askBreaker(halfOpen(breaker), nowMs);
    case 'half_open': {
      if (breaker.isProbing) return { kind: 'wait', breaker, retryInMs: null };
      const serial = breaker.serial + 1;
      return { kind: 'go', breaker: { ...breaker, serial, isProbing: true }, permit: { serial } };
    }
    default:
      return breaker satisfies never;
  }
}

/**
 * What has come of a call.
 *
 * @param random in [0, 1)
 * @returns the very same breaker where it is no news
 */
export function settleBreaker(
  breaker: Breaker,
  {
    permit,
    outcome,
    nowMs,
    random,
    options,
  }: {
    permit: Permit;
    outcome: CallOutcome;
    nowMs: number;
    random: number;
    options: BreakerOptions;
  },
): Breaker {
  if (permit.serial !== breaker.serial) return breaker;
  switch (breaker.kind) {
    case 'closed':
      return outcome === 'neutral' ? breaker : count(breaker, { outcome, nowMs, random, options });
    case 'open':
      return breaker;
    case 'half_open': {
      // Told twice.
      if (!breaker.isProbing) return breaker;
      if (outcome === 'failed') return opened(breaker, { nowMs, random, options });
      const successes = breaker.successes + (outcome === 'succeeded' ? 1 : 0);
      if (successes >= options.successThreshold) return closed(breaker, nowMs);
      return { ...breaker, successes, isProbing: false };
    }
    default:
      return breaker satisfies never;
  }
}

/**
 * What is called is for sure not what has failed: its process is a new one. An open breaker lets it
 * be tried at once, and no longer holds against it what the old one did.
 */
export function restartBreaker(breaker: Breaker): Breaker {
  return breaker.kind === 'open' ? halfOpen({ ...breaker, trips: 0 }) : breaker;
}

/** How another breaker for the same callee stands; `retryInMs` counts where it is open. */
export interface BreakerTold {
  readonly kind: Breaker['kind'];
  readonly trips: number;
  readonly retryInMs: number;
}

/** Becomes what others have agreed on. */
export function followBreaker(breaker: Breaker, told: BreakerTold, nowMs: number): Breaker {
  const { kind, trips } = told;
  const serial = breaker.serial + 1;
  switch (kind) {
    case 'closed':
      return breaker.kind === 'closed' ? breaker : closed({ serial: breaker.serial, trips }, nowMs);
    case 'open': {
      const untilMs = nowMs + told.retryInMs;
      return { kind, trips, untilMs, serial: breaker.kind === 'open' ? breaker.serial : serial };
    }
    case 'half_open':
      if (breaker.kind === 'half_open') return { ...breaker, trips };
      return { kind, trips, serial, successes: 0, isProbing: false };
    default:
      return kind satisfies never;
  }
}

function count(
  breaker: Extract<Breaker, { kind: 'closed' }>,
  {
    outcome,
    ...rest
  }: {
    outcome: 'succeeded' | 'failed';
    nowMs: number;
    random: number;
    options: BreakerOptions;
  },
): Breaker {
  const { nowMs, options } = rest;
  const failed = outcome === 'failed' ? 1 : 0;
  const failuresInARow = failed === 0 ? 0 : breaker.failuresInARow + 1;
  const buckets = addTo(breaker.buckets, { failed, nowMs, windowMs: options.windowMs });
  const next: Breaker = { ...breaker, failuresInARow, buckets };
  if (failed === 0 || options.failureThreshold === 0) return next;
  const isStreak = failuresInARow >= options.failureThreshold;
  return isStreak || isMostly(buckets, options) ? opened(next, rest) : next;
}

function addTo(
  buckets: readonly Bucket[],
  { failed, nowMs, windowMs }: { failed: number; nowMs: number; windowMs: number },
): readonly Bucket[] {
  const recent = buckets.filter(({ fromMs }) => nowMs - fromMs < windowMs);
  const last = recent.at(-1);
  if (last === undefined || nowMs - last.fromMs >= windowMs / BUCKETS) {
    return [...recent, { fromMs: nowMs, calls: 1, failures: failed }];
  }
  const counted = { ...last, calls: last.calls + 1, failures: last.failures + failed };
  return [...recent.slice(0, -1), counted];
}

function isMostly(buckets: readonly Bucket[], options: BreakerOptions): boolean {
  const calls = sum(buckets.map((bucket) => bucket.calls));
  const failures = sum(buckets.map((bucket) => bucket.failures));
  return calls >= options.windowCallsMin && failures >= calls * options.windowFailureShare;
}

function closed({ trips, serial }: Kept, nowMs: number): Breaker {
  return {
    kind: 'closed',
    trips,
    serial: serial + 1,
    sinceMs: nowMs,
    failuresInARow: 0,
    buckets: [],
  };
}

function halfOpen({ trips, serial }: Kept): Breaker {
  return { kind: 'half_open', trips, serial: serial + 1, successes: 0, isProbing: false };
}

/** Open for `resetTimeoutMs * 2^trips`, less or more some jitter, at most `resetTimeoutMsMax`. */
function opened(
  breaker: Exclude<Breaker, { kind: 'open' }>,
  { nowMs, random, options }: { nowMs: number; random: number; options: BreakerOptions },
): Breaker {
  const { resetTimeoutMs, resetTimeoutMsMax, calmMs } = options;
  const calm = breaker.kind === 'closed' ? Math.floor((nowMs - breaker.sinceMs) / calmMs) : 0;
  const trips = Math.max(0, breaker.trips - calm);
  const jitter = 1 - JITTER + 2 * JITTER * random;
  const openMs = Math.min(resetTimeoutMsMax, resetTimeoutMs * 2 ** trips * jitter);
  // More of them would make it no longer, and take longer to forget.
  const tripsMax = 1 + Math.ceil(Math.log2(resetTimeoutMsMax / resetTimeoutMs));
  return {
    kind: 'open',
    trips: Math.min(tripsMax, trips + 1),
    serial: breaker.serial + 1,
    untilMs: nowMs + openMs,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
