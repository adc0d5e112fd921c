/** I1, I2, I11: what was accepted is there once and is over, and nothing else is there. */
import { isTerminal, isDeleted, mayBeDeleted, violation } from './evidence.ts';
import type { Check, Evidence, JobEvidence, OpEvidence, Violation } from './evidence.ts';

export const checkSubmissions: Check = (evidence) => [
  ...lostJobs(evidence).map((job) =>
    violation('I1', job, job.record === null ? 'is accepted and gone' : `is still ${job.state}`),
  ),
  ...unfinishedJobs(evidence).map((job) =>
    violation('L1', job, `was never acknowledged, and is still ${job.state}`),
  ),
  ...unexpectedJobs(evidence).map((job) =>
    violation('I2', job, `exists though nobody asked for it (marker ${job.marker})`),
  ),
  ...[...evidence.ops.values()].flatMap((op) => checkOp(op, evidence)),
];

/** Acknowledged, and neither over nor deleted. */
export function lostJobs({ jobs }: Evidence): JobEvidence[] {
  return [...jobs.values()].filter(
    (job) =>
      job.isAcknowledged && !isTerminal(job.state) && !(job.record === null && mayBeDeleted(job)),
  );
}

function unfinishedJobs({ jobs }: Evidence): JobEvidence[] {
  return [...jobs.values()].filter(
    (job) => !job.isAcknowledged && job.record !== null && !isTerminal(job.state),
  );
}

export function unexpectedJobs({ jobs }: Evidence): JobEvidence[] {
  return [...jobs.values()].filter((job) => job.record !== null && job.op === null);
}

/** Jobs beyond the one that each op may have. */
export function duplicatedJobs(evidence: Evidence): string[] {
  return [...evidence.ops.values()].flatMap((op) => allJobsOf(op, evidence).slice(1));
}

/** Deleting a job frees its key: what was deleted does not count. */
function allJobsOf({ submits, jobIds }: OpEvidence, { jobs }: Evidence): string[] {
  const answered = submits.flatMap(({ conflicting, outcome, jobId }) =>
    !conflicting && outcome === 'acknowledged' ? (jobId ?? []) : [],
  );
  return [...new Set([...answered, ...jobIds])].filter((id) => {
    const job = jobs.get(id);
    return job === undefined || job.record !== null || !mayBeDeleted(job);
  });
}

function checkOp(ofOp: OpEvidence, evidence: Evidence): Violation[] {
  const { op, submits } = ofOp;
  const all = allJobsOf(ofOp, evidence);
  const conflicting = submits.filter((submit) => submit.conflicting && !isRefusedRightly(submit));
  return [
    ...(all.length <= 1
      ? []
      : [violation(op.key === null ? 'I2' : 'I11', null, `${op.op} has jobs ${all.join(', ')}`)]),
    ...conflicting.map(({ status }) =>
      violation('I11', null, `${op.op}: another body under its key was answered by ${status}`),
    ),
  ];
}
/** By its key, or because nothing is taken at that moment; of no answer nothing is known. */
function isRefusedRightly({ outcome, status }: OpEvidence['submits'][number]): boolean {
  if (outcome === 'acknowledged') return false;
  return status === null || status === 422 || status === 429 || status >= 500;
}

/** I20: nothing is left of what was deleted. */
export const checkDeletions: Check = ({ jobs }) =>
  [...jobs.values()]
    .filter((job) => isDeleted(job) && (job.record !== null || job.log !== null))
    .map((job) => violation('I20', job, 'was deleted, and is still there'));
