/** I17, I20, L2: in the end nothing works, nothing waits, and all are ready for more. */
import { isTerminal, violation } from './evidence.ts';
import type { Check, Evidence, Violation } from './evidence.ts';

/** What a queue without any entry consists of, how its engines stand, and who lives. */
const STANDING_KEYS = [
  /^\{qarr:[^}]+\}(_batch)?:(meta|id|events|marker|pc|stalled-check)$/,
  // Of the ledger only its counters stand when nothing is in the tier.
  /^\{qarr:[^}]+\}:(ledger-counts|breakers|probe:.*)$/,
  /^qarr:(workers:[^:]+|replicas)$/,
  // By which a file store knows its Redis.
  /^\{qarr:_files\}:deployment$/,
];
/** Lists the jobs that have ended, all or those of a state. */
const ENDED_INDEX = /^qarr:(?:jobs:.*:)?(kept|completed|failed|cancelled|expired)$/;

export const checkLeftovers: Check = (evidence) => [
  ...checkJobKeys(evidence),
  ...checkIndexes(evidence),
  ...checkQueues(evidence),
  ...(evidence.isReady ? [] : [violation('L2', null, 'a worker does not use its engines again')]),
  ...evidence.engines
    .filter(({ running }) => running !== 0)
    .map(({ name, running }) =>
      violation(
        'I17',
        null,
        `${name} still works on ${running ?? 'nobody knows how many'} requests`,
      ),
    ),
];

function checkJobKeys({ jobs }: Evidence): Violation[] {
  return [...jobs.values()].flatMap((job) => [
    ...(job.record === null && job.log !== null ? [violation('I20', job, 'has only a log')] : []),
    ...(isTerminal(job.state) && (job.recordTtlMs < 0 || (job.log !== null && job.logTtlMs < 0))
      ? [violation('I20', job, 'is over, and is kept for ever')]
      : []),
    ...(job.record !== null && !isTerminal(job.state) && job.recordTtlMs >= 0
      ? [violation('I20', job, `is ${job.state}, and will be forgotten`)]
      : []),
  ]);
}

/** Those of open jobs are empty; the others hold jobs that have ended so, and each of them. */
function checkIndexes({ dump, jobs }: Evidence): Violation[] {
  return [...dump.indexes].flatMap(([name, members]) => {
    const [, list = ''] = ENDED_INDEX.exec(name) ?? [];
    // Of `<state> <job> <owner>`, or of jobs alone.
    const ids = members.map((member) => member.split(' ').find((word) => jobs.has(word)) ?? member);
    return ids.flatMap((id) => {
      const state = jobs.get(id)?.state ?? null;
      const isRight = list !== '' && isTerminal(state) && (list === 'kept' || list === state);
      return isRight ? [] : [violation('I20', null, `${name} still has ${id}, which is ${state}`)];
    });
  });
}

function checkQueues({ dump }: Evidence): Violation[] {
  const waiting = [...dump.queues].filter(([, size]) => size > 0);
  const strange = dump.otherKeys.flatMap(({ name, ttlMs }) => {
    if (STANDING_KEYS.some((pattern) => pattern.test(name))) return [];
    // Something that ends by itself, such as an idempotency key.
    if (name.startsWith('qarr:') && ttlMs >= 0) return [];
    return [violation('I20', null, `${name} is nobody's`)];
  });
  return [
    ...waiting.map(([name, size]) => violation('I20', null, `${name} still has ${size} entries`)),
    ...strange,
  ];
}
