/** I13: what is cancelled stays so. */
import { isTerminal, violation } from './evidence.ts';
import type { Check, Evidence, JobEvidence, Violation } from './evidence.ts';

/** After the end of a fault, things are as they were within this time: a lock, and a check of it. */
const RECOVERY_MS = 20_000;

export const checkCancels: Check = (evidence) =>
  [...evidence.jobs.values()].flatMap((job) => checkJob(job, evidence));

function checkJob(job: JobEvidence, evidence: Evidence): Violation[] {
  if (job.record === null) return [];
  return job.cancels.flatMap(({ status, jobState, fromMs, atMs }) => {
    if (status !== 200 || jobState === null) return [];
    // It was over before, or is by now: what the receipt says is what it remains.
    if (isTerminal(jobState)) {
      return jobState === job.state
        ? []
        : [violation('I13', job, `is ${job.state}, its receipt said ${jobState}`)];
    }
    return [
      ...(job.state === 'cancelled'
        ? []
        : [violation('I13', job, `is ${job.state} after it was told to stop`)]),
      // The receipt waits for the worker, who needs a moment where nothing disturbs it.
      ...(wasDisturbed(evidence, { fromMs, atMs })
        ? []
        : [violation('I13', job, `was still ${jobState} in its receipt, in quiet times`)]),
    ];
  });
}

function wasDisturbed(
  { entries }: Evidence,
  { fromMs, atMs }: { fromMs: number; atMs: number },
): boolean {
  return entries.some(
    (entry) => entry.t === 'fault' && entry.fromMs <= atMs && entry.atMs + RECOVERY_MS >= fromMs,
  );
}
