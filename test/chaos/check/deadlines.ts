/** I14, I15: nothing begins too late, nothing is given up too early, and no tier changes. */
import { violation } from './evidence.ts';
import type { Check, JobEvidence, Violation } from './evidence.ts';

/** A timer of a worker counts from the claim, whose clock is Redis's, and may be this early. */
const TIMER_SLACK_MS = 100;

export const checkDeadlines: Check = ({ jobs }) =>
  [...jobs.values()].flatMap((job) =>
    job.record === null ? [] : [...checkTimes(job), ...checkTiers(job)],
  );

function checkTimes(job: JobEvidence): Violation[] {
  const [deadlineMs, startedMs, finishedMs, runTimeoutMs] = [
    'queue_deadline',
    'started_at',
    'finished_at',
    'run_timeout_ms',
  ].map((field) => Number(job.record?.[field] ?? Number.NaN)) as [number, number, number, number];
  const last = job.events.at(-1);
  const ranOut = last?.type === 'failed' && last.error.code === 'run_timeout';
  return [
    // A comparison with what is not there is false.
    ...(startedMs >= deadlineMs
      ? [violation('I14', job, `started ${startedMs - deadlineMs} ms after its deadline`)]
      : []),
    ...(job.state === 'expired' && finishedMs < deadlineMs
      ? [violation('I14', job, `expired ${deadlineMs - finishedMs} ms too early`)]
      : []),
    ...(ranOut && finishedMs < startedMs + runTimeoutMs - TIMER_SLACK_MS
      ? [violation('I14', job, 'was stopped before its time was up')]
      : []),
  ];
}

function checkTiers(job: JobEvidence): Violation[] {
  const tier = job.record?.['tier'];
  const pinned = job.op?.tier ?? null;
  const others = job.events.flatMap((event) =>
    (event?.type === 'queued' || event?.type === 'started') && event.tier !== tier
      ? [event.tier]
      : [],
  );
  return [
    ...(others.length === 0 ? [] : [violation('I15', job, `of ${tier} ran in ${others.join()}`)]),
    ...(pinned === null || pinned === tier
      ? []
      : [violation('I15', job, `asked for ${pinned} and got ${tier}`)]),
  ];
}
