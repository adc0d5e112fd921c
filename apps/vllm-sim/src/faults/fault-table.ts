import type { ParamSpecs, ValuesOf } from './fault-params.ts';

/** One row of the table. */
type FaultSpec = {
  /** Where it happens: before the headers, in a stream of events, or to the engine as a whole. */
  readonly family: 'before' | 'stream' | 'engine';
  /**
   * What becomes of the right answer: it still arrives `whole`; whole, but `late`; `damaged`,
   * although the response goes on to its end; or `none`: no answer, or only a part of one.
   */
  readonly answer: 'whole' | 'late' | 'damaged' | 'none';
  readonly help: string;
  readonly params: ParamSpecs;
};

/** An hour: longer than any client waits, short enough to be a mistake that shows. */
const MS_MAX = 3_600_000;
/** More events than any context window holds tokens. */
const EVENTS_MAX = 10_000_000;
/** Larger than any limit that a client should have on a line or a body. */
const BYTES_MAX = 64 * 1024 * 1024;
const TEXT_CHARS_MAX = 1_000;

const AFTER_EVENTS = {
  after: { kind: 'integer', min: 0, max: EVENTS_MAX, default: undefined },
  within: { kind: 'integer', min: 0, max: EVENTS_MAX, default: undefined },
} as const;
const AFTER_BYTES = {
  ...AFTER_EVENTS,
  after_bytes: { kind: 'integer', min: 0, max: BYTES_MAX, default: undefined },
  within_bytes: { kind: 'integer', min: 0, max: BYTES_MAX, default: undefined },
} as const;

/** Every fault there is, in the order of a response's life. */
export const FAULTS = {
  status: {
    family: 'before',
    answer: 'none',
    help: 'An error. The body follows the status unless `body` names one; `wording` is that of a version for the overflow of the context window',
    params: {
      status: { kind: 'integer', min: 400, max: 599, default: 500 },
      body: {
        kind: 'choice',
        values: ['auto', 'vllm', 'overflow', 'string', 'scaling', 'loading', 'html', 'empty'],
        default: 'auto',
      },
      wording: { kind: 'choice', values: ['current', '0.15', '0.10', '0.6.4'], default: 'current' },
      retry_after: { kind: 'text', charsMax: 64, default: undefined },
    },
  },
  reset: { family: 'before', answer: 'none', help: 'A TCP reset instead of an answer', params: {} },
  close: { family: 'before', answer: 'none', help: 'An orderly close, no answer', params: {} },
  hang_before_headers: {
    family: 'before',
    answer: 'none',
    help: 'Nothing comes, for ever; the connection stays open',
    params: {},
  },
  slow_headers: {
    family: 'before',
    answer: 'late',
    help: 'The request is taken up only after `ms`',
    params: { ms: { kind: 'integer', min: 0, max: MS_MAX, default: 1_000 } },
  },
  redirect: {
    family: 'before',
    answer: 'none',
    help: 'A redirect to `to`',
    params: {
      status: { kind: 'integer', min: 300, max: 308, default: 307 },
      to: { kind: 'text', charsMax: TEXT_CHARS_MAX, default: 'http://127.0.0.1:9/' },
    },
  },
  early_status: {
    family: 'before',
    answer: 'whole',
    help: '`count` interim responses, then the answer',
    params: {
      status: { kind: 'choice', values: ['103', '102', '100'], default: '103' },
      count: { kind: 'integer', min: 1, max: 100, default: 1 },
    },
  },
  wrong_content_type: {
    family: 'stream',
    answer: 'whole',
    help: 'The stream under another content type',
    params: { type: { kind: 'text', charsMax: 100, default: 'text/html' } },
  },
  gzip: {
    family: 'stream',
    answer: 'whole',
    help: 'The stream with `content-encoding: gzip`, whether the client takes that or not',
    params: {},
  },
  gzip_bomb: {
    family: 'stream',
    answer: 'whole',
    help: 'The same, after a comment of `bytes` that weighs a thousandth on the wire',
    params: { bytes: { kind: 'integer', min: 1, max: BYTES_MAX, default: 10_000_000 } },
  },
  cut: {
    family: 'stream',
    answer: 'none',
    help: 'A TCP reset',
    params: AFTER_BYTES,
  },
  eof: {
    family: 'stream',
    answer: 'none',
    help: 'The response ends in good order, without a finish reason and without `[DONE]`',
    params: AFTER_BYTES,
  },
  cut_chunked: {
    family: 'stream',
    answer: 'none',
    help: 'The connection closes inside a chunk: incomplete chunked encoding',
    params: AFTER_BYTES,
  },
  stall: {
    family: 'stream',
    answer: 'late',
    help: 'Silence for `ms`, then the rest; 0 is for ever',
    params: { ...AFTER_BYTES, ms: { kind: 'integer', min: 0, max: MS_MAX, default: 0 } },
  },
  drip: {
    family: 'stream',
    answer: 'late',
    help: 'From there on, one event each `ms`',
    params: { ...AFTER_EVENTS, ms: { kind: 'integer', min: 0, max: MS_MAX, default: 1_000 } },
  },
  error_event: {
    family: 'stream',
    answer: 'none',
    help: 'An error event inside the 200, in the form of a version (`rust`: its code is a string; `bare`: without `error` around it), and what it is `followed_by`',
    params: {
      ...AFTER_EVENTS,
      form: {
        kind: 'choice',
        values: ['nested', 'flat', 'bare', 'string', 'rust'],
        default: 'nested',
      },
      followed_by: { kind: 'choice', values: ['done', 'end', 'cut'], default: 'done' },
      message: {
        kind: 'text',
        charsMax: TEXT_CHARS_MAX,
        default: 'EngineCore encountered an issue. See stack trace (above) for the root cause.',
      },
    },
  },
  abort: {
    family: 'stream',
    answer: 'none',
    help: 'Finish reason `abort`, then `[DONE]`: what a vLLM that shuts down sends',
    params: AFTER_EVENTS,
  },
  no_finish_reason: {
    family: 'stream',
    answer: 'damaged',
    help: 'All tokens and `[DONE]`, but no finish reason',
    params: {},
  },
  unknown_finish_reason: {
    family: 'stream',
    answer: 'damaged',
    help: 'The finish reason is `reason`',
    params: { reason: { kind: 'text', charsMax: 100, default: 'unknown' } },
  },
  no_done: {
    family: 'stream',
    answer: 'damaged',
    help: 'Everything but `[DONE]`',
    params: {},
  },
  malformed: {
    family: 'stream',
    answer: 'damaged',
    help: 'The JSON of `count` events is broken, the stream goes on',
    params: { ...AFTER_EVENTS, count: { kind: 'integer', min: 1, max: EVENTS_MAX, default: 1 } },
  },
  malformed_fatal: {
    family: 'stream',
    answer: 'none',
    help: 'An event whose JSON is broken, then the end of the response',
    params: AFTER_EVENTS,
  },
  invalid_utf8: {
    family: 'stream',
    answer: 'damaged',
    help: 'Two bytes that are no UTF-8 in the text of one event',
    params: AFTER_EVENTS,
  },
  duplicate_event: {
    family: 'stream',
    answer: 'damaged',
    help: 'One event comes `count` times more',
    params: { ...AFTER_EVENTS, count: { kind: 'integer', min: 1, max: 1_000, default: 1 } },
  },
  huge_line: {
    family: 'stream',
    answer: 'whole',
    help: 'One event has an unknown field that makes its line `bytes` long',
    params: {
      ...AFTER_EVENTS,
      bytes: { kind: 'integer', min: 1, max: BYTES_MAX, default: 10_000_000 },
    },
  },
  empty_delta: {
    family: 'stream',
    answer: 'whole',
    help: 'A chunk without text after each chunk with a token',
    params: {},
  },
  merged: {
    family: 'stream',
    answer: 'whole',
    help: 'Up to `chunks` chunks of one choice come as one',
    params: { chunks: { kind: 'integer', min: 2, max: EVENTS_MAX, default: 5 } },
  },
  extra_fields: {
    family: 'stream',
    answer: 'whole',
    help: 'Unknown fields in every chunk, choice and delta',
    params: {},
  },
  null_fields: {
    family: 'stream',
    answer: 'whole',
    help: 'Optional fields that are null where vLLM leaves them out',
    params: {},
  },
  crlf: {
    family: 'stream',
    answer: 'whole',
    help: 'Lines end with CR LF; `split` puts the two into separate writes',
    params: { split: { kind: 'choice', values: ['no', 'yes'], default: 'no' } },
  },
  lone_cr: { family: 'stream', answer: 'whole', help: 'Lines end with CR alone', params: {} },
  no_space_after_colon: { family: 'stream', answer: 'whole', help: '`data:{…}`', params: {} },
  comments: {
    family: 'stream',
    answer: 'whole',
    help: '`: keep-alive` before every event',
    params: {},
  },
  multi_line_data: {
    family: 'stream',
    answer: 'whole',
    help: 'The JSON of an event over several `data:` lines',
    params: {},
  },
  event_names: {
    family: 'stream',
    answer: 'whole',
    help: 'Every event has an `event:` line',
    params: { name: { kind: 'text', charsMax: 100, default: 'message' } },
  },
  event_ids: {
    family: 'stream',
    answer: 'whole',
    help: 'Every event has an `id:` line, the first a `retry:` line',
    params: {},
  },
  bom: { family: 'stream', answer: 'whole', help: 'A byte order mark comes first', params: {} },
  slice: {
    family: 'stream',
    answer: 'whole',
    help: 'Each `bytes` bytes are a write and a chunk of their own; 0 draws sizes from 1 to 64',
    params: { bytes: { kind: 'integer', min: 0, max: 65_536, default: 1 } },
  },
  split_utf8: {
    family: 'stream',
    answer: 'whole',
    help: 'A write ends inside every character of several bytes',
    params: {},
  },
  refuse_connections: {
    family: 'engine',
    answer: 'none',
    help: 'Nobody listens for `ms`, then again on the same port; open connections go on',
    params: { ms: { kind: 'integer', min: 0, max: MS_MAX, default: 1_000 } },
  },
  die: {
    family: 'engine',
    answer: 'none',
    help: 'The engine dies: running streams end as the persona ends them, `/health` says so, and 5 s later (times `--time-scale`) the server is gone',
    params: {},
  },
  hang: {
    family: 'engine',
    answer: 'none',
    help: 'No step is taken any more: requests are accepted and get nothing, `/health` stays 200',
    params: {},
  },
  resume: { family: 'engine', answer: 'late', help: 'Ends `hang`', params: {} },
  shutdown: {
    family: 'engine',
    answer: 'none',
    help: 'As after SIGTERM: `abort` ends what runs with that finish reason, `drain` gives it `ms` to finish; then the server is gone',
    params: {
      mode: { kind: 'choice', values: ['abort', 'drain'], default: 'abort' },
      ms: { kind: 'integer', min: 0, max: MS_MAX, default: 30_000 },
    },
  },
  kv_shrink: {
    family: 'engine',
    answer: 'late',
    help: 'The KV cache has `blocks` blocks from now on',
    params: { blocks: { kind: 'integer', min: 1, max: EVENTS_MAX, default: 16 } },
  },
  abort_all: {
    family: 'engine',
    answer: 'none',
    help: 'All that runs and waits ends with finish reason `abort`; the engine goes on',
    params: {},
  },
  restart: {
    family: 'engine',
    answer: 'none',
    help: 'A crash: every connection closes where it is. After `ms` the server is back on its port, under another model name if one is given',
    params: {
      ms: { kind: 'integer', min: 0, max: MS_MAX, default: 1_000 },
      served_model_name: { kind: 'text', charsMax: 200, default: undefined },
    },
  },
  slow: {
    family: 'engine',
    answer: 'late',
    help: 'Every step takes `factor` times as long; 1 is as before',
    params: { factor: { kind: 'number', min: 0, max: 1_000, default: 10 } },
  },
} as const satisfies Record<string, FaultSpec>;

export type FaultName = keyof typeof FAULTS;
export type ParamsOf<Name extends FaultName> = ValuesOf<(typeof FAULTS)[Name]['params']>;
type Family = FaultSpec['family'];

/** One fault with all its parameters. */
export type Fault<Name extends FaultName = FaultName> = {
  [N in Name]: { readonly name: N; readonly params: ParamsOf<N> };
}[Name];

/** The names of a family's faults. */
export type NamesOf<F extends Family> = {
  [N in FaultName]: (typeof FAULTS)[N]['family'] extends F ? N : never;
}[FaultName];

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

export function isOfFamily<F extends Family>(fault: Fault, family: F): fault is Fault<NamesOf<F>> {
  return FAULTS[fault.name].family === family;
}
