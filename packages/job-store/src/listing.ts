/**
 * An owner's jobs, newest first, a page at a time; or those of a batch, its last line first.
 *
 * The indexes only propose: each job is shown in the state of its record, and one that has left its
 * state or has gone meanwhile is passed over. A page costs the same whatever there is besides: so
 * many candidates are looked at and no more, and a page may therefore be short though more follow.
 */
import { TERMINAL_STATES, isTerminalState, lineJobId } from '@qarr/router-core';
import type { JobState, JobSummary } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Keys } from './keys.ts';
import { SUMMARY_FIELDS, parseSummary } from './record.ts';

/** Jobs that are looked at for one page, at most. */
const LOOKS_MAX = 500;
/** Entries of an index that are read at once. */
const STEP_MIN = 100;
/** Jobs of one millisecond must fit: some hundred are more than any Redis writes in it. */
const STEPS_MAX = 100;

/** Where a page ended: the job before the next one. */
export interface ListCursor {
  readonly createdAt: number;
  readonly jobId: string;
}

export interface ListOptions {
  readonly owner: string;
  /** Those of its lines that are in the system; not said: the owner's other jobs. */
  readonly batchId?: string | undefined;
  /** Null for all of them. */
  readonly state: JobState | null;
  readonly limit: number;
  readonly after: ListCursor | null;
}

export interface JobPage {
  readonly jobs: JobSummary[];
  /** Null where nothing follows. */
  readonly next: ListCursor | null;
}

export interface Listing {
  list(options: ListOptions): Promise<JobPage>;
}

interface PartOptions {
  readonly after: ListCursor | null;
  readonly count: number;
}

interface Part {
  readonly found: Candidate[];
  readonly isAll: boolean;
}

/** A job in an index that may belong to the page. */
type Candidate = ListCursor & { readonly index: string };

export function createListing({
  redis,
  keys,
  lines,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  lines: Pick<BatchLines, 'inSystem'>;
  onError: (error: Error) => void;
}): Listing {
  function indexesFor(owner: string, state: JobState | null): string[] {
    const open = keys.jobsOf(owner, 'open');
    if (state === null) return [open, ...TERMINAL_STATES.map((ended) => keys.jobsOf(owner, ended))];
    if (isTerminalState(state)) return [keys.jobsOf(owner, state)];
    // Thousands may wait for each that runs. Those are in an index of their own, of all owners:
    // they are as few as there are slots.
    return state === 'running' ? [keys.started] : [open];
  }

  /** Part of one index, from after the cursor. */
  async function part(index: string, { after, count }: PartOptions): Promise<Part> {
    const from = after === null ? '+inf' : String(after.createdAt);
    const found: Candidate[] = [];
    // The cursor itself, and what stands before it with the same time, comes again.
    const step = Math.max(count + 1, STEP_MIN);
    for (let offset = 0; offset < step * STEPS_MAX; offset += step) {
      const some = candidatesOf(
        index,
        await redis.zrevrangebyscore(index, from, '-inf', 'WITHSCORES', 'LIMIT', offset, step),
      );
      found.push(...some.filter((one) => after === null || newestFirst(after, one) < 0));
      if (some.length < step) return { found: found.slice(0, count), isAll: found.length <= count };
      if (found.length >= count) break;
    }
    return { found: found.slice(0, count), isAll: false };
  }

  /** What follows the cursor in these indexes, newest first, and whether that is all. */
  async function candidates(indexes: readonly string[], options: PartOptions): Promise<Part> {
    const parts = await Promise.all(indexes.map((index) => part(index, options)));
    // Of an index that has more, nothing is known behind the last one found.
    const horizons = parts.flatMap(({ found, isAll }) => (isAll ? [] : found.slice(-1)));
    const horizon = horizons.toSorted(newestFirst)[0];
    const found = parts
      .flatMap((one) => one.found)
      .filter((one) => horizon === undefined || newestFirst(one, horizon) <= 0)
      .toSorted(newestFirst);
    return { found, isAll: horizon === undefined };
  }

  /** They wait in the window, run, or have an outcome that its runner holds: each has its limit. */
  async function linesOf(batchId: string, after: ListCursor | null): Promise<Part> {
    const inSystem = (await lines.inSystem(batchId)).toReversed();
    const last = after === null ? Infinity : lineOf(after.jobId);
    const found = inSystem
      .filter((line) => line < last)
      .map((line) => ({ index: '', jobId: lineJobId(batchId, line), createdAt: 0 }));
    return { found, isAll: true };
  }

  async function read(jobIds: readonly string[]): Promise<(JobSummary | null)[]> {
    const pipeline = pipelineOf(redis);
    for (const jobId of jobIds) pipeline.hmget(keys.job(jobId), ...SUMMARY_FIELDS);
    const replies = (await pipeline.exec()) ?? [];
    return replies.map(([error, values]) => {
      try {
        if (error !== null) throw error;
        return parseSummary(values as (string | null)[]);
      } catch (problem) {
        // One record that cannot be read must not hide the others.
        onError(problem as Error);
        return null;
      }
    });
  }

  return {
    async list({ owner, batchId, state, limit, after }) {
      const open = keys.jobsOf(owner, 'open');
      const isMixed = state === 'queued' || state === 'running';
      const count = isMixed ? LOOKS_MAX : limit + 1;
      const { found, isAll } = await (batchId === undefined
        ? candidates(indexesFor(owner, state), { after, count })
        : linesOf(batchId, after));
      const jobs = new Map<string, JobSummary>();
      const gone: string[] = [];
      let looked = 0;
      while (looked < found.length && looked < LOOKS_MAX && jobs.size < limit) {
        const some = found.slice(looked, Math.min(LOOKS_MAX, looked + limit - jobs.size));
        const records = await read(some.map(({ jobId }) => jobId));
        for (const [at, { index, jobId }] of some.entries()) {
          const job = records[at] ?? null;
          if (job === null && index === open) gone.push(jobId);
          if (job === null || job.owner !== owner) continue;
          // While a job is being closed it may be in two indexes: with all, it is shown once.
          if (state === null || job.state === state) jobs.set(jobId, job);
        }
        looked += some.length;
      }
      // Left there by a process that died in the middle; the other indexes are trimmed in time.
      if (gone.length > 0) await redis.zrem(open, ...gone);
      const hasMore = looked < found.length || !isAll;
      return { jobs: [...jobs.values()], next: hasMore ? (found[looked - 1] ?? null) : null };
    },
  };
}

/** The number behind its last underscore: see `lineJobId`. Nothing follows another job. */
function lineOf(jobId: string): number {
  return Number(/_(\d+)$/.exec(jobId)?.[1] ?? 0);
}

/** Members and scores, one after another. */
function candidatesOf(index: string, reply: readonly string[]): Candidate[] {
  const found: Candidate[] = [];
  for (let at = 0; at < reply.length; at += 2) {
    found.push({ index, jobId: reply[at] ?? '', createdAt: Number(reply[at + 1]) });
  }
  return found;
}

/** As the indexes are ordered, reversed: by time, then by id. */
function newestFirst(one: ListCursor, other: ListCursor): number {
  if (one.createdAt !== other.createdAt) return other.createdAt - one.createdAt;
  if (one.jobId === other.jobId) return 0;
  return one.jobId > other.jobId ? -1 : 1;
}
