/** Compares what became of a job with what was expected: a list of what is wrong. Pure. */
import { isTerminalType } from '@qarr/router-core';
import type { JobEvent, Usage } from '@qarr/router-core';
import type { Expected, Range, Seen } from './row.ts';
import type { SeenRequest } from './world/engine.ts';
import type { Outcome } from './world/jobs.ts';
import type { Reference } from './world/reference.ts';

/** What the worker may add to the fields of the job's request. */
const OWN_FIELDS: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'stream_options',
  'return_token_ids',
  // A continuation by token ids has them as its prompt.
  'prompt',
  'continue_final_message',
  'add_generation_prompt',
]);

export function judge(
  jobId: string,
  { expected, seen, traceId }: { expected: Expected; seen: Seen; traceId: string },
): string[] {
  const { outcome, requests, reference } = seen;
  const { events, record } = outcome;
  const last = events.at(-1);
  const isExact = seen.persona?.continues === 'by token ids';
  return [
    ...judgeLog(outcome),
    ...differs('end', endOf(last), expected.end),
    ...differs('attempts', countOf(events, 'started'), expected.attempts),
    ...differs('resets', countOf(events, 'reset'), expected.resets ?? 0),
    ...differs('requests', requests.length, expected.requests),
    ...differs('burnt tries', outcome.failures, expected.failures ?? 0),
    ...differs('spared attempts', outcome.spared, expected.spared ?? 0),
    ...(last?.type === 'completed'
      ? [
          ...differs('continued', last.continued ?? 0, expected.continued ?? 0),
          ...differs('continued in the result', record.result?.continued ?? 0, last.continued ?? 0),
          // By text, the tokens at the joint are counted as the engine cuts the text anew.
          ...judgeUsage(last.usage, isExact || !last.continued ? reference : null),
        ]
      : []),
    ...judgeText(seen, expected.text),
    ...judgeRequests(jobId, { requests, seen, traceId }),
  ];
}

/** What holds for the log of every job that is over. */
export function judgeLog({ events, numbers, record }: Outcome): string[] {
  const terminal = events.filter(({ type }) => isTerminalType(type));
  const attempts = events.flatMap((event) => (event.type === 'started' ? [event.attempt] : []));
  return [
    ...(numbers.every((number, index) => number === index + 1) ? [] : ['the log has a gap']),
    ...(events[0]?.type === 'queued' ? [] : ['the log does not begin with queued']),
    ...(terminal.length === 1 && terminal[0] === events.at(-1)
      ? []
      : [`${terminal.length} terminal events, or one that is not the last`]),
    ...(attempts.every((attempt, index) => attempt === index + 1)
      ? []
      : [`attempts are numbered ${attempts.join()}`]),
    ...differs('state of the record', record.state, terminal[0]?.type),
  ];
}

/** What was published of each choice since the last reset. */
export function textsOf(events: readonly JobEvent[]): string[] {
  const texts: string[] = [];
  for (const event of events.slice(events.findLastIndex(({ type }) => type === 'reset') + 1)) {
    if (event.type !== 'delta') continue;
    const index = event.index ?? 0;
    texts[index] = (texts[index] ?? '') + event.text + argumentsOf(event);
  }
  return Array.from(texts, (text) => text ?? '');
}

function argumentsOf({ tool_calls: calls = [] }: Extract<JobEvent, { type: 'delta' }>): string {
  return calls.map((call) => textOfCall(call.function)).join('');
}

function textOfCall(
  called: { name?: string | undefined; arguments?: string | undefined } | undefined,
): string {
  return `${called?.name ?? ''}${called?.arguments ?? ''}`;
}

function referenceTexts({ choices }: Reference): string[] {
  return choices.map(({ message }) => {
    const calls = message.tool_calls ?? [];
    return (message.content ?? '') + calls.map((call) => textOfCall(call.function)).join('');
  });
}

function judgeText({ outcome, reference }: Seen, expected: Expected['text']): string[] {
  const texts = textsOf(outcome.events);
  if (expected === 'nothing') return texts.length === 0 ? [] : ['text was published'];
  if (reference === null) return ['the undisturbed engine refuses the request'];
  const whole = referenceTexts(reference);
  if (expected === 'beginning') {
    const isBeginning = texts.every((text, index) => whole[index]?.startsWith(text));
    return isBeginning && texts.join('') !== '' ? [] : ['what was published is no beginning'];
  }
  const { result } = outcome.record;
  const results = (result?.choices ?? (result === null ? [] : [result])).map(
    (choice) =>
      choice.text + (choice.tool_calls ?? []).map((call) => textOfCall(call.function)).join(''),
  );
  const reasons = (result?.choices ?? (result === null ? [] : [result])).map(
    ({ finish_reason: reason }) => reason,
  );
  return [
    ...differs('text in the log', texts, whole),
    ...differs('text in the record', results, whole),
    ...differs(
      'finish reasons',
      reasons,
      reference.choices.map(({ finish_reason: reason }) => reason),
    ),
  ];
}

function judgeUsage(usage: Usage | null, reference: Reference | null): string[] {
  if (usage === null) return ['no usage'];
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  if (reference === null) return total === prompt + completion ? [] : ['usage does not add up'];
  const { usage: whole } = reference;
  return differs(
    'usage',
    [prompt, completion, total],
    [whole.prompt_tokens, whole.completion_tokens, whole.total_tokens],
  );
}

function judgeRequests(
  jobId: string,
  {
    requests,
    seen: { request, outcome },
    traceId,
  }: { requests: readonly SeenRequest[]; seen: Seen; traceId: string },
): string[] {
  const attempts = countOf(outcome.events, 'started');
  const ids = new Set(Array.from({ length: attempts }, (_, index) => `${jobId}-${index + 1}`));
  return requests.flatMap(({ request_id: id, traceparent, fields }) => {
    const strange = fields.filter((field) => !(field in request) && !OWN_FIELDS.has(field));
    return [
      ...(ids.has(id ?? '') ? [] : [`request id ${id} is that of no attempt`]),
      ...(traceparent?.split('-')[1] === traceId ? [] : [`traceparent ${traceparent}`]),
      ...(strange.length === 0 ? [] : [`fields that nobody asked for: ${strange.join()}`]),
    ];
  });
}

function endOf(last: JobEvent | undefined): string {
  return last?.type === 'failed' ? last.error.code : (last?.type ?? 'nothing');
}

function countOf(events: readonly JobEvent[], type: JobEvent['type']): number {
  return events.filter((event) => event.type === type).length;
}

function differs<Value>(name: string, actual: Value, expected: Value | Range): string[] {
  if (typeof actual === 'number' && isRange(expected)) {
    const [first, last] = expected;
    if (actual >= first && actual <= last) return [];
    return [`${name}: ${actual}, expected ${first} to ${last}`];
  }
  const [is, shall] = [JSON.stringify(actual), JSON.stringify(expected)];
  return is === shall ? [] : [`${name}: ${brief(is)}, expected ${brief(shall)}`];
}

function isRange(expected: unknown): expected is Range {
  return Array.isArray(expected) && expected.length === 2 && typeof expected[0] === 'number';
}

/** Texts are long; where they part is to be found by their ends. */
function brief(json: string | undefined): string {
  const text = json ?? 'nothing';
  return text.length <= 160 ? text : `${text.slice(0, 80)} … ${text.slice(-80)}`;
}
