/**
 * I14, I15: nothing begins too late, nothing is given up too early, and no tier changes but once, by
 * consent, as the record and the log say.
 */
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
  const wrong = (message: string) => violation('I15', job, message);
  const tier = job.record?.['tier'] ?? '';
  const hops = job.events.flatMap((event) => (event?.type === 'rerouted' ? [event] : []));
  const [hop] = hops;
  const routed = hop?.from ?? tier;
  const pinned = job.op?.tier ?? null;
  const recorded = hop === undefined ? '' : JSON.stringify({ from: hop.from, reason: hop.reason });
  return [
    ...ranElsewhere(job, { routed, tier }).map((other) => wrong(`of ${tier} ran in ${other}`)),
    ...(pinned === null || pinned === routed ? [] : [wrong(`asked for ${pinned}, not ${routed}`)]),
    ...(hops.length > 1 ? [wrong(`was moved ${hops.length} times`)] : []),
    ...(hop !== undefined && consentOf(job) === 'none' ? [wrong('was moved without consent')] : []),
    ...(hop !== undefined && hop.to !== tier ? [wrong(`went to ${hop.to}, is in ${tier}`)] : []),
    ...((job.record?.['rerouted'] ?? '') === recorded
      ? []
      : [wrong('was moved by its record or by its log, not by both')]),
  ];
}

/** Tiers in which something happened to a job that was not there at that time. */
function ranElsewhere(
  job: JobEvidence,
  { routed, tier }: { routed: string; tier: string },
): string[] {
  const hopAt = job.events.findIndex((event) => event?.type === 'rerouted');
  return job.events.flatMap((event, index) => {
    // One that went elsewhere as it was submitted was queued there.
    if (event?.type === 'queued') return [routed, tier].includes(event.tier) ? [] : [event.tier];
    if (event?.type !== 'started') return [];
    return event.tier === (index < hopAt ? routed : tier) ? [] : [event.tier];
  });
}

/** What its client said, or what holds where it says nothing. */
function consentOf({ op, record }: JobEvidence): string {
  if (op === null) return record?.['fallback'] ?? 'none';
  return op.fallback ?? (op.tier === null ? 'up' : 'none');
}
