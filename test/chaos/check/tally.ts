/** The counts of a run, in Jepsen's words. */
import type { Evidence } from './evidence.ts';
import { isDeleted, isTerminal } from './evidence.ts';
import { failureOf } from './failures.ts';
import { duplicatedJobs, lostJobs, unexpectedJobs } from './submissions.ts';

export interface Tally {
  /** Tries to submit something, and the things that were to be submitted. */
  readonly attempts: number;
  readonly ops: number;
  /** Jobs that a client was told of. */
  readonly acknowledged: number;
  /** Acknowledged jobs that are over, or were deleted by their client. */
  readonly ok: number;
  readonly lost: number;
  readonly unexpected: number;
  readonly duplicated: number;
  /** Jobs whose client never heard that they were accepted. */
  readonly recovered: number;
  /** By state; `deleted` are those of which nothing is left. */
  readonly states: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** Processes that ended though nobody told them to. */
  readonly endedByThemselves: number;
  readonly readers: number;
  readonly reconnections: number;
  readonly eventsRead: number;
  readonly compared: number;
  /** Jobs with more than one attempt, and answers that were carried on. */
  readonly retried: number;
  readonly continued: number;
}

export function tally(evidence: Evidence): Tally {
  const { entries, jobs } = evidence;
  const all = [...jobs.values()];
  const readers = all.flatMap((job) => [...job.readers.values()]);
  const reads = readers.flat();
  const deleted = all.filter((job) => job.record === null && isDeleted(job));
  const acknowledged = all.filter((job) => job.isAcknowledged);
  return {
    attempts: entries.filter(({ t }) => t === 'submit').length,
    ops: evidence.ops.size,
    acknowledged: acknowledged.length,
    ok: acknowledged.filter((job) => isTerminal(job.state) || deleted.includes(job)).length,
    lost: lostJobs(evidence).length,
    unexpected: unexpectedJobs(evidence).length,
    duplicated: duplicatedJobs(evidence).length,
    recovered: all.filter((job) => !job.isAcknowledged && job.op !== null).length,
    states: countBy([...all.flatMap(({ state }) => state ?? []), ...deleted.map(() => 'deleted')]),
    failures: countBy(all.flatMap((job) => failureOf(job) ?? [])),
    faults: countBy(entries.flatMap((entry) => (entry.t === 'fault' ? [entry.fault] : []))),
    endedByThemselves: entries.filter(
      (entry) => entry.t === 'process' && entry.event === 'ended by itself',
    ).length,
    readers: readers.length,
    reconnections: reads.length - readers.length,
    eventsRead: reads.reduce((sum, { events }) => sum + events.length, 0),
    compared: evidence.undisturbed.size,
    retried: all.filter(({ record }) => Number(record?.['attempt'] ?? 0) > 1).length,
    continued: all.filter(({ record }) => Number(record?.['continued'] ?? 0) > 0).length,
  };
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
