/**
 * The ledger of each tier: every job in its system, waiting or running, with its class and cost, in
 * the fair order of its owners. What is admitted is decided by it in the moment of the write, so that
 * requests that come at once cannot pass a limit together.
 *
 * A job is entered before its record is written and leaves when it is closed. What a crash leaves
 * between the two is put right by the sweep: `mending.ts` enters what is missing, `ledger-audit.ts`
 * removes what no job stands for.
 */
import type { Ahead, EntryLimits, JobClass, TierLoad } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import type { Keys, QueueKind } from './keys.ts';
import { runScript } from './scripts.ts';
import type { Step } from './scripts.ts';

/** What a job found when it asked for its place. */
export interface Found {
  readonly load: TierLoad;
  readonly ahead: Ahead;
}

export interface LedgerEntry {
  readonly jobId: string;
  readonly owner: string;
  readonly class: JobClass;
  /** Its expected cost, in generated tokens. */
  readonly tokens: number;
  readonly isFallback: boolean;
  /** How long it may wait from now on, in milliseconds; not said: it is never late. */
  readonly startWithinMs?: number | undefined;
}

/** Which limit is against it; `window` is that of the lines of batches. */
export type Full = 'depth' | 'alert' | 'fallback' | 'wait' | 'window';

export type Entered =
  | {
      readonly kind: 'entered';
      readonly priority: number;
      readonly now: number;
      readonly found: Found;
    }
  | { readonly kind: 'full'; readonly why: Full; readonly found: Found };

export interface Ledger {
  /** Enters a job that is to wait; one that is there already stays as it is. Null: without limits. */
  enter(tier: string, entry: LedgerEntry, limits: EntryLimits | null): Promise<Entered>;
  /** It runs now. */
  start(tier: string, jobId: string): Promise<void>;
  /** It waits again. */
  giveBack(tier: string, jobId: string): Promise<void>;
  leave(tier: string, jobId: string): Promise<void>;
  /** The same as steps. */
  starting(tier: string, jobId: string): Step;
  returning(tier: string, jobId: string): Step;
  leaving(tier: string, jobId: string): Step;
  /** Raises the alert above so many waiting jobs from now on, where that is said. */
  read(tier: string, alertAbove?: number): Promise<TierLoad>;
}

/** The priority of a job that comes back to its queue: before all new ones of its class. */
export const RETURNING_PRIORITY: Readonly<Record<JobClass, number>> = {
  interactive: 1,
  standard: 1_000_000,
  // It has a queue of its own.
  batch: 1,
};

/** Of the places in the order of a ledger, where those of batch jobs begin: see `ledger.lua`. */
const BATCH_OFFSET = 2_000_000;

/** The priority that belongs to a place in the order of a ledger; null for a job without one. */
export function priorityAt(place: string | number | null, queue: QueueKind): number | null {
  if (place === null) return null;
  return queue === 'batch' ? Number(place) - BATCH_OFFSET : Number(place);
}

export function createLedger({ redis, keys }: { redis: RedisClient; keys: Keys }): Ledger {
  const call = (tier: string, args: (string | number)[]) => ({ keys: keys.ledger(tier), args });

  return {
    async enter(tier, entry, limits) {
      const args = enterArgs(entry, limits);
      return parseEntered((await runScript(redis, 'ledger-enter', call(tier, args))) as EnterReply);
    },
    async start(tier, jobId) {
      await runScript(redis, 'ledger-start', call(tier, [jobId]));
    },
    async giveBack(tier, jobId) {
      await runScript(redis, 'ledger-return', call(tier, [jobId]));
    },
    async leave(tier, jobId) {
      await runScript(redis, 'ledger-leave', call(tier, [jobId]));
    },
    starting: (tier, jobId) => ({ script: 'ledger-start', ...call(tier, [jobId]) }),
    returning: (tier, jobId) => ({ script: 'ledger-return', ...call(tier, [jobId]) }),
    leaving: (tier, jobId) => ({ script: 'ledger-leave', ...call(tier, [jobId]) }),
    async read(tier, alertAbove) {
      const reply = await runScript(redis, 'ledger-read', call(tier, [alertAbove ?? '']));
      return parseLoad(reply as number[]);
    },
  };
}

/** What `ledger-enter` takes. */
export function enterArgs(entry: LedgerEntry, limits: EntryLimits | null): (string | number)[] {
  const { jobId, owner, class: jobClass, tokens, isFallback, startWithinMs = '' } = entry;
  const job = [jobId, jobClass, Math.ceil(tokens), isFallback ? 1 : 0, owner];
  return [...job, ...limitArgs(limits), startWithinMs];
}

export type EnterReply = [Full | 'entered', ...number[]];

export function parseEntered(reply: EnterReply): Entered {
  const [outcome, priority, now, jobs, tokensAhead, ...numbers] = reply;
  const ahead = { jobs: jobs ?? 0, tokens: tokensAhead ?? 0 };
  const found = { load: parseLoad(numbers), ahead };
  if (outcome !== 'entered') return { kind: 'full', why: outcome, found };
  return { kind: 'entered', priority: priority ?? 0, now: now ?? 0, found };
}

function limitArgs(limits: EntryLimits | null): (string | number)[] {
  if (limits === null) return ['', '', '', '', ''];
  const { depthMax, tokensAheadMax, whileAlerting, fallbackJobsMax, batchWaitingMax } = limits;
  return [
    depthMax,
    tokensAheadMax ?? '',
    whileAlerting ? '' : 1,
    fallbackJobsMax ?? '',
    batchWaitingMax ?? '',
  ];
}

/** Numbers per class in the reply of `load_now`. */
const CLASS_NUMBERS = 5;

function parseLoad(numbers: readonly number[]): TierLoad {
  const at = (index: number) => numbers[index] ?? 0;
  const perClass = <Value>(read: (first: number) => Value): Record<JobClass, Value> => ({
    interactive: read(0),
    standard: read(CLASS_NUMBERS),
    batch: read(2 * CLASS_NUMBERS),
  });
  return {
    waiting: perClass((first) => ({ jobs: at(first), tokens: at(first + 1) })),
    running: perClass((first) => ({ jobs: at(first + 2), tokens: at(first + 3) })),
    arrivingTokensPerS: perClass((first) => at(first + 4)),
    fallbackJobs: at(3 * CLASS_NUMBERS),
    isAlerting: at(3 * CLASS_NUMBERS + 1) === 1,
    isStandardLate: at(3 * CLASS_NUMBERS + 2) === 1,
  };
}
