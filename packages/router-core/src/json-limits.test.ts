import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BODY_LIMITS, isWithinLimits } from './json-limits.ts';

const { depthMax: DEPTH_MAX, valuesMax: VALUES_MAX } = BODY_LIMITS;

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const list = (values: number) => JSON.stringify(Array.from({ length: values - 1 }, () => ({})));

describe('a body', () => {
  it('nests as deep as it may, and holds as much', () => {
    expect([DEPTH_MAX, DEPTH_MAX + 1].map(nested).map((json) => isWithinLimits(json))).toEqual([
      true,
      false,
    ]);
    expect([VALUES_MAX, VALUES_MAX + 1].map(list).map((json) => isWithinLimits(json))).toEqual([
      true,
      false,
    ]);
  });

  it('may say anything in its texts', () => {
    for (const text of ['['.repeat(1_000), ','.repeat(VALUES_MAX), '\\"['.repeat(1_000), '\\']) {
      expect(isWithinLimits(JSON.stringify({ text, more: [text] }))).toBe(true);
    }
    // The text that ends after a backslash has ended.
    expect(isWithinLimits(`["\\\\",${nested(DEPTH_MAX)}]`)).toBe(false);
  });

  it('is refused exactly where its values are too many or too deep', () => {
    const wide = fc.array(fc.jsonValue(), { maxLength: 50 });
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), wide), fc.nat(40), fc.nat(4), (value, depth, space) => {
        const copies = Math.max(1, Math.ceil(VALUES_MAX / countOf(value)) - 1);
        const many = depth % 2 === 0 ? [value] : Array.from({ length: copies }, () => value);
        let body: unknown = many;
        for (let level = 0; level < depth; level += 1) body = { a: body };
        const fits = countOf(body) <= VALUES_MAX && depthOf(body) <= DEPTH_MAX;
        expect(isWithinLimits(JSON.stringify(body, null, space))).toBe(fits);
      }),
      { numRuns: 50 },
    );
  });

  it.each(['', 'banana', '"', ']]]]', '{"a":', '[,,]', '\\'])(
    'that is no JSON is left to the parser: %j',
    (text) => {
      expect(isWithinLimits(text)).toBe(true);
    },
  );
});

function innerOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

function countOf(value: unknown): number {
  return innerOf(value).reduce<number>((sum, inner) => sum + countOf(inner), 1);
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return innerOf(value).reduce<number>((most, inner) => Math.max(most, 1 + depthOf(inner)), 1);
}
