import { describe, expect, it } from 'vitest';
import { waitPreferred } from './prefer.ts';

function waitOf(...prefer: string[]) {
  return waitPreferred({ headersDistinct: { prefer } }, { waitMsMax: 60_500 });
}

describe('the wait that a client prefers', () => {
  it.each([
    ['wait=10', 10],
    ['wait=0', 0],
    ['Wait = 10', 10],
    ['wait="10"', 10],
    ['respond-async, wait=10', 10],
    ['foo; bar=1; wait=3, wait=10', 10],
    ['foo="a, wait=3; \\" wait=4", wait=10;x="y,z"', 10],
    [',, wait=10,', 10],
    // The first one counts.
    ['wait=10, wait=20', 10],
    ['wait=61', 60],
    ['wait=999999999', 60],
  ])('is read from %s', (header, seconds) => {
    expect(waitOf(header)).toBe(seconds);
  });

  it('is looked for in each of several headers', () => {
    expect(waitOf('respond-async', 'wait=10')).toBe(10);
  });

  it.each(['respond-async', 'await=10', 'foo;wait=10', '', 'foo="wait=10'])(
    'is not in %s',
    (header) => {
      expect(waitOf(header)).toBeUndefined();
    },
  );

  it('is not there without a header', () => {
    expect(waitPreferred({ headersDistinct: {} }, { waitMsMax: 1 })).toBeUndefined();
  });

  it.each(['wait', 'wait=', 'wait=-1', 'wait=1.5', 'wait=ten', 'wait="1 0"', 'wait=9999999999'])(
    'is refused as %s, with its name and limit',
    (header) => {
      expect(() => waitOf(header)).toThrow(
        expect.objectContaining({
          code: 'invalid_request',
          param: 'Prefer',
          message: expect.stringMatching(/wait .* whole number of seconds.* 60 /),
        }),
      );
    },
  );

  it('is read in linear time', () => {
    const header = `${'a=b;'.repeat(4_000)}${'"'.repeat(4_000)}${' '.repeat(8_000)}!`;
    expect(waitOf(header)).toBeUndefined();
  });
});
