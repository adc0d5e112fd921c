/**
 * What an engine may answer instead of an answer.
 *
 * A refusal of the request (4xx, but for 429) is never tried again: it would be refused again. What
 * says that the engine is busy (429, 503) burns nothing. A connection that is gone before the first
 * token spares the job. Everything else burns a try, of which a job has three.
 */
import type { ErrorCode } from '@qarr/router-core';
import { AGAIN, AT_ONCE, FREE, SPARED, refused } from '../row.ts';
import type { Expected, JobRow } from '../row.ts';
import type { Fault } from '../world/engine.ts';

type Brief = readonly [name: string, faults: Fault | readonly Fault[], expected: Expected];

const status = (code: number, params: Fault['params'] = {}): Fault => ({
  name: 'status',
  params: { status: code, ...params },
});
const RESET: Fault = { name: 'reset' };
const HANG: Fault = { name: 'hang_before_headers' };

/** The request is at fault: not valid, too large, or not what the model can do. */
const REJECTED = refused('upstream_rejected');
/** Our address, key or model name is at fault, which no engine of ours will take. */
const MISTAKEN = refused('upstream_error');
const OVERFLOWED = refused('context_length_exceeded');

const REFUSALS: readonly Brief[] = [
  ...['current', '0.15', '0.10', '0.6.4'].map(
    (wording) =>
      [`400, too long, as ${wording} says it`, status(400, { wording }), OVERFLOWED] as const,
  ),
  ['400, a bad field', status(400, { body: 'vllm' }), REJECTED],
  ['400 as a page of HTML', status(400, { body: 'html' }), REJECTED],
  ['400 without a body', status(400, { body: 'empty' }), REJECTED],
  ['401', status(401), MISTAKEN],
  ['403', status(403), MISTAKEN],
  ['404, another model', status(404), MISTAKEN],
  ['405', status(405), MISTAKEN],
  ['409', status(409), MISTAKEN],
  ['413', status(413), REJECTED],
  ['422', status(422), REJECTED],
  ['501, not what the model can do', status(501), REJECTED],
  // Where a request with a key and a prompt goes is for the operator to say.
  ['a redirect', { name: 'redirect' }, MISTAKEN],
  ['a redirect for good', { name: 'redirect', params: { status: 308 } }, MISTAKEN],
];

const BUSY: readonly Brief[] = [
  ['429', status(429), FREE],
  ['429 and when to come back', status(429, { retry_after: '1' }), FREE],
  [
    '429 and a date to come back',
    status(429, { retry_after: 'Mon, 23 Nov 2026 00:00:00 GMT' }),
    FREE,
  ],
  ['503, scaling', status(503), FREE],
  ['503, loading', status(503, { body: 'loading' }), FREE],
  ['503 as a page of HTML', status(503, { body: 'html' }), FREE],
  [
    '503 without a body, four times',
    Array.from({ length: 4 }, () => status(503, { body: 'empty' })),
    {
      ...FREE,
      attempts: 5,
      requests: 5,
    },
  ],
  ['503 and to come back at once', status(503, { retry_after: '0' }), FREE],
];

const FAILURES: readonly Brief[] = [
  ['500', status(500), AGAIN],
  ['500 without a body', status(500, { body: 'empty' }), AGAIN],
  ['500 that speaks of the context window', status(500, { body: 'overflow' }), AGAIN],
  ['502 as a page of HTML', status(502), AGAIN],
  ['504 as a page of HTML', status(504), AGAIN],
  ['599', status(599), AGAIN],
  ['500 twice', [status(500), status(500)], { ...AGAIN, attempts: 3, requests: 3, failures: 2 }],
  ['500 three times', [status(500), status(502), status(500)], givenUp('upstream_error')],
  ['a TCP reset', RESET, SPARED],
  ['an orderly close', { name: 'close' }, SPARED],
  // The third attempt that nobody takes counts as a try.
  [
    'a TCP reset three times',
    [RESET, RESET, RESET],
    {
      ...SPARED,
      attempts: 4,
      requests: 4,
      spared: 2,
      failures: 1,
    },
  ],
  [
    '503, a reset, 500',
    [status(503), RESET, status(500)],
    {
      ...SPARED,
      attempts: 4,
      requests: 4,
      failures: 1,
    },
  ],
];

const SLOW: readonly Brief[] = [
  ['a hang before the headers', HANG, AGAIN],
  ['a hang before the headers three times', [HANG, HANG, HANG], givenUp('upstream_timeout')],
];

const HARMLESS: readonly Brief[] = [
  ['headers that come late', { name: 'slow_headers', params: { ms: 300 } }, AT_ONCE],
  ['103 before the answer', { name: 'early_status' }, AT_ONCE],
  [
    '102 before the answer, five times',
    { name: 'early_status', params: { status: '102', count: 5 } },
    AT_ONCE,
  ],
  // RFC 9110 15.2.1 has it only where it was asked for, and no vLLM sends it: a client may take the
  // server for broken, as long as the answer is right in the end.
  [
    '100 before the answer',
    { name: 'early_status', params: { status: '100' } },
    { ...AT_ONCE, attempts: [1, 2], requests: [1, 2], spared: [0, 1] },
  ],
];

/** Three tries, and the last one's failure is the job's. */
function givenUp(end: ErrorCode): Expected {
  return { end, attempts: 3, requests: 3, failures: 2, text: 'nothing' };
}

export const BEFORE_THE_ANSWER: readonly JobRow[] = [
  ...[...REFUSALS, ...BUSY, ...FAILURES, ...HARMLESS].map((brief) => rowOf(brief)),
  ...SLOW.map((brief): JobRow => ({ ...rowOf(brief), isSlow: true })),
];

function rowOf([name, faults, expected]: Brief): JobRow {
  return {
    kind: 'job',
    section: 'refusals and failures before an answer',
    name,
    faults: isList(faults) ? faults : [faults],
    expected: () => expected,
  };
}

function isList(faults: Fault | readonly Fault[]): faults is readonly Fault[] {
  return Array.isArray(faults);
}
