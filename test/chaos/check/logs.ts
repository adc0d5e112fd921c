/** I3 to I6, I16: each log by itself, and with its record. */
import { isTerminalType } from '@qarr/router-core';
import { isTerminal, violation } from './evidence.ts';
import type { Check, JobEvidence, Violation } from './evidence.ts';

/** Tries that may fail, the first one included. What was handed back does not count. */
const TRIES_MAX = 3;

export const checkLogs: Check = ({ jobs }) =>
  [...jobs.values()].flatMap((job) => (job.record === null ? [] : checkLog(job)));

function checkLog(job: JobEvidence): Violation[] {
  if (job.log === null) return [violation('I6', job, 'has a record and no log')];
  return [...checkNumbers(job), ...checkEnd(job), ...checkOrder(job), ...checkTries(job)];
}

function checkNumbers(job: JobEvidence): Violation[] {
  const { record, events } = job;
  const log = job.log ?? [];
  const gap = log.findIndex(({ id }, index) => id !== `0-${index + 1}`);
  const strange = log.findIndex(({ type }, index) => events[index]?.type !== type);
  return [
    ...(gap === -1 ? [] : [violation('I6', job, `entry ${gap + 1} of the log is ${log[gap]?.id}`)]),
    ...(strange === -1 ? [] : [violation('I6', job, `event ${strange + 1} is no event`)]),
    ...(Number(record?.['seq']) === log.length
      ? []
      : [violation('I6', job, `has ${log.length} events, and seq ${record?.['seq']}`)]),
  ];
}

function checkEnd(job: JobEvidence): Violation[] {
  const log = job.log ?? [];
  const ends = log.flatMap(({ type }, index) => (isTerminalType(type) ? [index] : []));
  if (!isTerminal(job.state)) {
    return ends.length === 0 ? [] : [violation('I3', job, `is ${job.state} after its end`)];
  }
  const last = log.at(-1);
  return [
    ...(ends.length === 1 ? [] : [violation('I3', job, `has ${ends.length} terminal events`)]),
    ...(last?.type === job.state
      ? []
      : [violation('I3', job, `is ${job.state}, and its last event is ${last?.type}`)]),
    ...(last?.json === job.record?.['final']
      ? []
      : [violation('I3', job, 'has another end in its record than in its log')]),
  ];
}

function checkTries(job: JobEvidence): Violation[] {
  const failures = Number(job.record?.['failures'] ?? 0);
  return failures <= TRIES_MAX ? [] : [violation('I16', job, `has failed ${failures} times`)];
}

/** I4, I5: attempts are numbered, text belongs to one, and a new one carries on or resets. */
function checkOrder(job: JobEvidence): Violation[] {
  const violations: Violation[] = [];
  let attempt = 0;
  let hasText = false;
  let resetFor: number | null = null;
  for (const [index, event] of job.events.entries()) {
    const wrong = (invariant: string, message: string) =>
      void violations.push(violation(invariant, job, `event ${index + 1}: ${message}`));
    if ((event?.type === 'queued') !== (index === 0)) wrong('I4', `${event?.type}`);
    if (resetFor !== null && event?.type !== 'started') wrong('I4', 'no attempt after a reset');
    switch (event?.type) {
      case 'started':
        if (event.attempt !== attempt + 1) wrong('I5', `attempt ${event.attempt} after ${attempt}`);
        if (hasText && job.record?.['on_interrupt'] !== 'continue') {
          wrong('I5', 'an attempt begins anew and voids nothing');
        }
        if (resetFor !== null && resetFor !== event.attempt) wrong('I5', 'a reset for another one');
        attempt = event.attempt;
        resetFor = null;
        break;
      case 'reset':
        if (!hasText) wrong('I4', 'a reset where there is no text');
        hasText = false;
        resetFor = event.attempt;
        break;
      case 'delta':
        if (attempt === 0) wrong('I5', 'text before the first attempt');
        hasText = true;
        break;
      case 'completed':
        if (attempt === 0) wrong('I4', 'completed without an attempt');
        break;
      case 'expired':
        if (attempt > 0) wrong('I4', 'expired after it was started');
        break;
      default:
        break;
    }
  }
  const counted = Number(job.record?.['attempt']);
  if (counted !== attempt) {
    violations.push(violation('I5', job, `counts ${counted} attempts, its log has ${attempt}`));
  }
  return violations;
}
