/**
 * Answers that break off, or that are not what they should be.
 *
 * Nothing of that is ever taken for a whole answer. Before the first token the job is tried again
 * and nobody notices; afterwards it is carried on by another engine, so the text is that of an
 * engine which never failed; where no engine can do that, the job says that it was interrupted.
 */
import { AGAIN, AT_ONCE, SPARED, carriedOn } from '../row.ts';
import type { Expected, JobRow } from '../row.ts';
import type { Persona } from '../persona.ts';
import type { Fault } from '../world/engine.ts';

type Params = NonNullable<Fault['params']>;

/** The role chunk and five chunks of text come through. */
const MIDDLE: Params = { after: 6 };
/** Within the text, and within an event. */
const MIDDLE_BYTES: Params = { after_bytes: 1_500 };
/** Not even the role chunk comes. */
const START: Params = { after: 0 };
/** The role chunk comes. */
const ROLE: Params = { after: 1 };

const CUTS: readonly JobRow[] = (
  [
    ['cut', 'a TCP reset'],
    ['cut_chunked', 'a close inside a chunk'],
  ] as const
).flatMap(([fault, words]) => [
  row(`${words} before any event`, { fault, params: START, expected: SPARED }),
  row(`${words} after the role`, { fault, params: ROLE, expected: SPARED }),
  row(`${words} in the middle`, { fault, params: MIDDLE, expected: carriedOn }),
  row(`${words} inside an event`, { fault, params: MIDDLE_BYTES, expected: carriedOn }),
]);

/** Each of these ends the answer, burns a try, and says nothing of the text before it. */
const ENDINGS: readonly JobRow[] = (
  [
    ['a clean end', { fault: 'eof' }],
    ['finish reason abort', { fault: 'abort' }],
    ['an error event as vLLM sends it', { fault: 'error_event' }],
    ['an error event, then the end', { fault: 'error_event', more: { followed_by: 'end' } }],
    ['an error event, then a reset', { fault: 'error_event', more: { followed_by: 'cut' } }],
    ['an error event before 0.10.1', { fault: 'error_event', more: { form: 'flat' } }],
    ['an error event that is not inside error', { fault: 'error_event', more: { form: 'bare' } }],
    ['an error event that is a string', { fault: 'error_event', more: { form: 'string' } }],
    ['an error event of the Rust front end', { fault: 'error_event', more: { form: 'rust' } }],
    ['an event of broken JSON, then the end', { fault: 'malformed_fatal' }],
    ['an event of 10 MB', { fault: 'huge_line', more: { bytes: 10_000_000 } }],
  ] as const
).flatMap(([words, { fault, ...rest }]) => {
  const more = 'more' in rest ? rest.more : {};
  return [
    row(`${words} before any event`, { fault, params: { ...more, ...START }, expected: AGAIN }),
    row(`${words} in the middle`, { fault, params: { ...more, ...MIDDLE }, expected: carriedOn }),
  ];
});

const NOT_WHOLE: readonly JobRow[] = [
  row('a clean end inside an event', { fault: 'eof', params: MIDDLE_BYTES, expected: carriedOn }),
  // All tokens of `max_tokens` were published: nothing is left to ask another engine for.
  row('no finish reason at the limit', {
    fault: 'no_finish_reason',
    params: {},
    wants: endsBy('length'),
    // By text, the tokens are counted anew, and may be fewer.
    expected: (persona) => ({
      ...carriedOn(persona),
      requests: persona.continues === 'by text' ? [1, 2] : 1,
    }),
  }),
  row('no finish reason at an end that the model chose', {
    fault: 'no_finish_reason',
    params: {},
    request: { max_tokens: 600 },
    wants: endsBy('stop'),
    expected: carriedOn,
  }),
  ...['unknown', 'repetition', 'error'].map((reason) =>
    row(`finish reason ${reason}`, {
      fault: 'unknown_finish_reason',
      params: { reason },
      // Where chunks have no such field, the first of them gets it, and nothing was published yet.
      expected: (persona) => (persona.isVllm ? carriedOn(persona) : AGAIN),
    }),
  ),
  // A legal finish reason and a clean end are enough: not every engine says that it is done.
  row('no [DONE]', {
    fault: 'no_done',
    params: {},
    expected: ({ saysDone }) => (saysDone ? AT_ONCE : 'not applicable'),
  }),
];

const MALFORMED: readonly JobRow[] = [
  // Where each chunk tells how many tokens there are, the next one shows that nothing is missing.
  row('one event of broken JSON before any text', {
    fault: 'malformed',
    params: START,
    expected: ({ counts }) => (counts ? AT_ONCE : AGAIN),
  }),
  row('one event of broken JSON in the middle', {
    fault: 'malformed',
    params: MIDDLE,
    expected: carriedOn,
  }),
  row('three events of broken JSON in the middle', {
    fault: 'malformed',
    params: { ...MIDDLE, count: 3 },
    expected: carriedOn,
  }),
  row('bytes that are no UTF-8 in the first text', {
    fault: 'invalid_utf8',
    params: START,
    expected: AGAIN,
  }),
  row('bytes that are no UTF-8 in the middle', {
    fault: 'invalid_utf8',
    params: MIDDLE,
    expected: carriedOn,
  }),
  row('the role twice', { fault: 'duplicate_event', params: START, expected: AT_ONCE }),
  row('one event of text twice', {
    fault: 'duplicate_event',
    params: MIDDLE,
    // The count stands still while text comes. Where nothing is counted, nobody can know.
    expected: ({ counts }) =>
      counts
        ? { ...AT_ONCE, attempts: [1, 2], requests: [1, 2], failures: [0, 1], continued: [0, 1] }
        : 'not applicable',
  }),
  // Nobody asked for it, so nobody inflates it: its bytes are no UTF-8.
  row('gzip that nobody asked for', { fault: 'gzip', params: {}, expected: AGAIN }),
  row('a gzip bomb', { fault: 'gzip_bomb', params: {}, expected: AGAIN }),
];

const SLOW: readonly JobRow[] = [
  row('silence for ever before any event', { fault: 'stall', params: START, expected: AGAIN }),
  row('silence for ever after the role', { fault: 'stall', params: ROLE, expected: AGAIN }),
  row('silence for ever in the middle', { fault: 'stall', params: MIDDLE, expected: carriedOn }),
  row('silence for ever inside an event', {
    fault: 'stall',
    params: MIDDLE_BYTES,
    expected: carriedOn,
  }),
  row('a drip in the middle', {
    fault: 'drip',
    params: { ...MIDDLE, ms: 1_000 },
    expected: carriedOn,
  }),
].map((slow) => ({ ...slow, isSlow: true as const }));

export const BROKEN_ANSWERS: readonly JobRow[] = [
  ...CUTS,
  ...ENDINGS,
  ...NOT_WHOLE,
  ...MALFORMED,
  ...SLOW,
];

function row(
  name: string,
  {
    fault,
    params,
    expected,
    ...more
  }: {
    fault: Fault['name'];
    params: Params;
    expected: Expected | ((persona: Persona) => Expected | 'not applicable');
  } & Pick<JobRow, 'request' | 'wants'>,
): JobRow {
  return {
    kind: 'job',
    section: 'answers that break',
    name,
    ...more,
    faults: [{ name: fault, params }],
    expected: typeof expected === 'function' ? expected : () => expected,
  };
}

function endsBy(reason: string): NonNullable<JobRow['wants']> {
  return ({ choices }) => choices[0]?.finish_reason === reason;
}
