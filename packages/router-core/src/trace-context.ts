/**
 * The W3C trace context that a job carries from the request that made it: `traceparent` of
 * https://www.w3.org/TR/trace-context-1/.
 */

/** Random bytes as hexadecimal digits in lower case. */
export type RandomHex = (bytes: number) => string;

export interface TraceParent {
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** 16 hexadecimal digits: the span of who sent it. */
  readonly spanId: string;
  readonly isSampled: boolean;
}

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const FLAG_SAMPLED = 0x01;

/** The fields of version 00; a later version may have more of them. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** Null where the text is no valid `traceparent`; it must then be treated as if there was none. */
export function parseTraceparent(text: string): TraceParent | null {
  const [, version = '', traceId = '', spanId = '', flags = '', rest] =
    TRACEPARENT.exec(text) ?? [];
  if (version === '' || version === 'ff') return null;
  if (version === '00' && rest !== undefined) return null;
  if (isZero(traceId) || isZero(spanId)) return null;
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & FLAG_SAMPLED) !== 0 };
}

/**
 * The `traceparent` of a span below `parent`; without one, of a new trace, which is not sampled,
 * because nobody has asked for that. The version is always the one that is written here, and flags
 * that it does not know are not passed on, both as the standard demands.
 */
export function childTraceparent(parent: TraceParent | null, randomHex: RandomHex): string {
  const traceId = parent?.traceId ?? randomId(TRACE_ID_BYTES, randomHex);
  const spanId = randomId(SPAN_ID_BYTES, randomHex);
  return `00-${traceId}-${spanId}-${parent?.isSampled === true ? '01' : '00'}`;
}

/** An id of zeros is none. */
function randomId(bytes: number, randomHex: RandomHex): string {
  const id = randomHex(bytes);
  return isZero(id) ? `${id.slice(0, -1)}1` : id;
}

function isZero(id: string): boolean {
  return /^0*$/.test(id);
}
