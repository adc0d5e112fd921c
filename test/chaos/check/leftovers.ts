/** I17, I20, L2: in the end nothing works, nothing waits, and all are ready for more. */
import { isTerminal, violation } from './evidence.ts';
import type { Check, Evidence, Violation } from './evidence.ts';

/** What a queue without any entry consists of, and the registry of live workers. */
const STANDING_KEYS = [
  /^\{qarr:[^}]+\}:(meta|id|events|marker|pc|stalled-check)$/,
  /^qarr:workers:[^:]+$/,
];

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

function checkIndexes({ dump }: Evidence): Violation[] {
  return [
    ...dump.open.map((id) => violation('I20', null, `${id} is still among the open jobs`)),
    ...dump.deadlines.map((id) => violation('I20', null, `${id} still has a deadline`)),
  ];
}

function checkQueues({ dump }: Evidence): Violation[] {
  return dump.otherKeys.flatMap(({ name, ttlMs }) => {
    const size = dump.queues.get(name);
    if (size !== undefined) {
      return size === 0 ? [] : [violation('I20', null, `${name} still has ${size} entries`)];
    }
    if (name === 'qarr:open' || name === 'qarr:deadlines') return [];
    if (STANDING_KEYS.some((pattern) => pattern.test(name))) return [];
    // Something that ends by itself, such as an idempotency key.
    if (name.startsWith('qarr:') && ttlMs >= 0) return [];
    return [violation('I20', null, `${name} is nobody's`)];
  });
}
