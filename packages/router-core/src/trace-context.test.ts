import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childTraceparent, parseTraceparent } from './trace-context.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const sampled = { traceId: TRACE_ID, spanId: SPAN_ID, isSampled: true };

const HEX_DIGITS = Array.from('0123456789abcdef');

function hex(digits: number): fc.Arbitrary<string> {
  return fc
    .string({ unit: fc.constantFrom(...HEX_DIGITS), minLength: digits, maxLength: digits })
    .filter((id) => /[^0]/.test(id));
}
const ids = fc.record({ traceId: hex(32), spanId: hex(16), isSampled: fc.boolean() });

describe('a traceparent', () => {
  it.each<[string, string]>([
    ['as it is written', `00-${TRACE_ID}-${SPAN_ID}-01`],
    ['with flags that nobody knows', `00-${TRACE_ID}-${SPAN_ID}-ff`],
    ['of a later version', `cc-${TRACE_ID}-${SPAN_ID}-01`],
    ['of a later version, with more fields', `cc-${TRACE_ID}-${SPAN_ID}-01-what-the-future`],
    ['of a later version, with an empty field', `cc-${TRACE_ID}-${SPAN_ID}-01-`],
  ])('is read %s', (_name, text) => {
    expect(parseTraceparent(text)).toEqual(sampled);
  });

  it('is not sampled unless its flag says so', () => {
    expect(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-00`)?.isSampled).toBe(false);
    expect(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-fe`)?.isSampled).toBe(false);
  });

  it.each<[string, string]>([
    ['nothing', ''],
    ['a forbidden version', `ff-${TRACE_ID}-${SPAN_ID}-01`],
    ['a version of one digit', `0-${TRACE_ID}-${SPAN_ID}-01`],
    ['more fields than its version has', `00-${TRACE_ID}-${SPAN_ID}-01-x`],
    ['more fields, without a dash', `cc-${TRACE_ID}-${SPAN_ID}-01x`],
    ['a trace of zeros', `00-${'0'.repeat(32)}-${SPAN_ID}-01`],
    ['a span of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['capital letters', `00-${TRACE_ID.toUpperCase()}-${SPAN_ID}-01`],
    ['a short trace', `00-${TRACE_ID.slice(1)}-${SPAN_ID}-01`],
    ['a long trace', `00-${TRACE_ID}0-${SPAN_ID}-01`],
    ['no flags', `00-${TRACE_ID}-${SPAN_ID}`],
    ['flags of one digit', `00-${TRACE_ID}-${SPAN_ID}-1`],
    ['other letters', `00-${TRACE_ID.replace('b', 'g')}-${SPAN_ID}-01`],
    ['spaces', ` 00-${TRACE_ID}-${SPAN_ID}-01`],
    ['two of them', `00-${TRACE_ID}-${SPAN_ID}-01, 00-${TRACE_ID}-${SPAN_ID}-01`],
  ])('is none with %s', (_name, text) => {
    expect(parseTraceparent(text)).toBeNull();
  });

  it('is none where any of its characters is another one than it may be', () => {
    const valid = `00-${TRACE_ID}-${SPAN_ID}-01`;
    const at = fc.nat(valid.length - 1);
    const wrong = fc.constantFrom(' ', 'G', 'A', '_', '\n', 'é');
    fc.assert(
      fc.property(at, wrong, (index, char) => {
        expect(parseTraceparent(valid.slice(0, index) + char + valid.slice(index + 1))).toBeNull();
      }),
    );
  });
});

describe('the traceparent of a child', () => {
  it('keeps the trace and whether it is sampled, and has a span of its own', () => {
    fc.assert(
      fc.property(ids, hex(16), (parent, spanId) => {
        const child = childTraceparent(parent, () => spanId);
        expect(parseTraceparent(child)).toEqual({ ...parent, spanId });
        expect(child).toMatch(/^00-/);
      }),
    );
  });

  it('begins a trace that is not sampled where there is no parent', () => {
    fc.assert(
      fc.property(hex(32), hex(16), (traceId, spanId) => {
        const made = childTraceparent(null, (bytes) => (bytes === 16 ? traceId : spanId));
        expect(made).toBe(`00-${traceId}-${spanId}-00`);
      }),
    );
  });

  it('is valid whatever the dice say', () => {
    const zeros = childTraceparent(null, (bytes) => '00'.repeat(bytes));
    expect(parseTraceparent(zeros)).not.toBeNull();
  });
});
