/** Answers that look unusual and are whole: the first attempt completes the job. */
import { AT_ONCE } from '../row.ts';
import type { JobRow } from '../row.ts';
import type { Fault } from '../world/engine.ts';

type Brief = readonly [name: string, fault: Fault['name'], params?: NonNullable<Fault['params']>];

const BRIEFS: readonly Brief[] = [
  ['another content type', 'wrong_content_type'],
  ['the content type of JSON', 'wrong_content_type', { type: 'application/json' }],
  ['chunks without text between', 'empty_delta'],
  ['several tokens in a chunk', 'merged'],
  ['all tokens in a chunk', 'merged', { chunks: 10_000 }],
  ['unknown fields', 'extra_fields'],
  ['fields that are null', 'null_fields'],
  ['CR LF', 'crlf'],
  ['CR LF in two writes', 'crlf', { split: 'yes' }],
  ['CR alone', 'lone_cr'],
  ['no space after the colon', 'no_space_after_colon'],
  ['comments', 'comments'],
  ['JSON on several lines', 'multi_line_data'],
  ['named events', 'event_names'],
  ['events that are named error', 'event_names', { name: 'error' }],
  ['numbered events and a time to retry', 'event_ids'],
  ['a byte order mark', 'bom'],
  ['one byte at a time', 'slice'],
  ['seven bytes at a time', 'slice', { bytes: 7 }],
  ['pieces of any size', 'slice', { bytes: 0 }],
  ['a line of half a megabyte', 'huge_line', { bytes: 500_000, after: 6 }],
  ['silence for a while before any event', 'stall', { ms: 300, after: 0 }],
  ['silence for a while in the middle', 'stall', { ms: 300, after: 6 }],
  ['a fast drip', 'drip', { ms: 20, after: 2 }],
];

/** The simulator recognises by it which chunks may be changed; not every engine sends it. */
const NEEDS_FINISH_REASONS: ReadonlySet<string> = new Set(['empty_delta', 'merged']);

export const STRANGE_CLOTHES: readonly JobRow[] = [
  ...BRIEFS.map(([name, fault, params = {}]): JobRow => ({
    kind: 'job',
    section: 'answers in strange clothes',
    name,
    faults: [{ name: fault, params }],
    expected: ({ isVllm }) =>
      isVllm || !NEEDS_FINISH_REASONS.has(fault) ? AT_ONCE : 'not applicable',
  })),
  {
    kind: 'job',
    section: 'answers in strange clothes',
    name: 'writes that end inside a character',
    faults: [{ name: 'split_utf8' }],
    // It has a character of several bytes.
    wants: ({ choices }) => /[^ -~\s]/.test(choices[0]?.message.content ?? ''),
    expected: () => AT_ONCE,
  },
];
