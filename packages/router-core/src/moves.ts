/**
 * Which of the jobs that wait in a tier that takes none are to be moved to another one now: those that
 * would be too late where they are, and that another tier can start in time.
 *
 * A tier takes none while its breaker is open, and when it has had no slot for a while: a worker that
 * is started anew comes back within that. A job that can wait until the tier takes jobs again does.
 * Where nobody can tell when that is, it would be never, and who waits for it waits in vain.
 */
import { fallbackTarget } from './admission.ts';
import { maxWaitMs } from './admission-request.ts';
import type { AdmissionOptions, AdmissionRequest, EntryLimits } from './admission-request.ts';
import type { Fallback, JobClass } from './job.ts';
import type { TierSnapshot } from './tier-snapshot.ts';
import { equalOrHigherClasses, estimateWaitMs } from './wait-estimate.ts';

/** Longer than a worker takes from its start to its first job, where its engine is there. */
const NO_SLOTS_MS = 10_000;

/** A job that waits and has not been moved before. */
export interface WaitingJob {
  readonly class: JobClass;
  readonly fallback: Fallback;
  /** Tiers whose context windows are large enough for it. */
  readonly fits: readonly string[];
  /** Expected cost. */
  readonly tokens: number;
  /** In which it must be started. */
  readonly leftMs: number;
  /** Before it in the fair order of its tier, higher classes included. */
  readonly jobsAhead: number;
}

export type MoveReason = 'breaker_open' | 'no_worker';

export interface PlannedMove<Job extends WaitingJob> {
  readonly job: Job;
  readonly to: string;
  readonly limits: EntryLimits;
}

/** Why a tier takes no job now; null where it takes some. */
export function takesNone(
  { breaker, slots }: TierSnapshot,
  { withoutSlotsMs }: { withoutSlotsMs: number },
): MoveReason | null {
  if (breaker === 'open') return 'breaker_open';
  return slots === 0 && withoutSlotsMs >= NO_SLOTS_MS ? 'no_worker' : null;
}

/**
 * The most urgent first.
 *
 * @param tiers from the least to the most precise, `from` among them
 */
export function planMoves<Job extends WaitingJob>(
  jobs: readonly Job[],
  {
    from,
    tiers,
    options,
  }: { from: TierSnapshot; tiers: readonly TierSnapshot[]; options: AdmissionOptions },
): PlannedMove<Job>[] {
  let known = tiers;
  const moves: PlannedMove<Job>[] = [];
  for (const job of jobs.toSorted(byUrgency)) {
    if (job.leftMs <= 0 || isInTime(job, from, options)) continue;
    const target = fallbackTarget(requestOf(job, from), known, options);
    if (target === null) continue;
    const to = target.tier.name;
    moves.push({ job, to, limits: target.limits });
    known = known.map((tier) => (tier.name === to ? withOneMore(tier, job) : tier));
  }
  return moves;
}

function isInTime(job: WaitingJob, from: TierSnapshot, options: AdmissionOptions): boolean {
  // Only an open breaker says when it is tried again.
  if (from.breaker !== 'open') return false;
  const all = equalOrHigherClasses(from.load, job.class);
  const meanTokens = all.jobs === 0 ? 0 : all.tokens / all.jobs;
  const ahead = { jobs: job.jobsAhead, tokens: job.jobsAhead * meanTokens };
  const waitMs = estimateWaitMs(from, { class: job.class, ahead });
  return waitMs !== null && waitMs <= maxWaitMs(requestOf(job, from), options);
}

function requestOf(job: WaitingJob, from: TierSnapshot): AdmissionRequest {
  return {
    tier: from.name,
    fallback: job.fallback,
    class: job.class,
    queueTimeoutMs: job.leftMs,
    tokens: job.tokens,
    fits: Object.fromEntries(job.fits.map((tier) => [tier, true])),
    random: 0,
  };
}

/** What the next one will find there. */
function withOneMore(tier: TierSnapshot, { class: jobClass, tokens }: WaitingJob): TierSnapshot {
  const { waiting, fallbackJobs } = tier.load;
  const more = { jobs: waiting[jobClass].jobs + 1, tokens: waiting[jobClass].tokens + tokens };
  return {
    ...tier,
    load: {
      ...tier.load,
      fallbackJobs: fallbackJobs + 1,
      waiting: { ...waiting, [jobClass]: more },
    },
  };
}

const CLASS_ORDER: Readonly<Record<JobClass, number>> = { interactive: 0, standard: 1, batch: 2 };

function byUrgency(one: WaitingJob, other: WaitingJob): number {
  return CLASS_ORDER[one.class] - CLASS_ORDER[other.class] || one.leftMs - other.leftMs;
}
