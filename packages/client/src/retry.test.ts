import { expect, test } from 'vitest';
import { QarrClientError } from './errors.ts';
import { retryAfterMsOf, retryDelayMs, withRetries } from './retry.ts';

const LIMITS = { retryAfterMsMax: 60_000, random: 0.5 };

test('waits for a random share of a growing ceiling', () => {
  const delays = [1, 2, 3, 4, 5, 6].map((failures) =>
    retryDelayMs({ failures, retryAfterMs: null, ...LIMITS }),
  );
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 4_000]);
});

test('waits as long as it is told, and not at all where that is too long', () => {
  expect(retryDelayMs({ failures: 1, retryAfterMs: 0, ...LIMITS })).toBe(0);
  expect(retryDelayMs({ failures: 9, retryAfterMs: 60_000, ...LIMITS })).toBe(60_000);
  expect(retryDelayMs({ failures: 1, retryAfterMs: 60_001, ...LIMITS })).toBeNull();
});

test.each<[Record<string, string>, number | null]>([
  [{}, null],
  [{ 'retry-after-ms': '1500', 'retry-after': '9' }, 1_500],
  [{ 'retry-after-ms': '12.5' }, 13],
  [{ 'retry-after': '2' }, 2_000],
  [{ 'retry-after': '0' }, 0],
  [
    { 'retry-after': 'Wed, 21 Oct 2026 07:28:05 GMT', date: 'Wed, 21 Oct 2026 07:28:00 GMT' },
    5_000,
  ],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:03 GMT' }, 2_000],
  [{ 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, 0],
  [{ 'retry-after': 'soon' }, null],
  [{ 'retry-after': '-5' }, null],
  [{ 'retry-after-ms': '1e9', 'retry-after': '1' }, 1_000],
])('reads %o as %s ms', (headers, ms) => {
  expect(retryAfterMsOf(new Headers(headers), 1_000)).toBe(ms);
});

test('tries as often as it may, and only what may pass', async () => {
  expect(await triesOf({ retryable: true })).toBe(3);
  expect(await triesOf({ retryable: false })).toBe(1);
});

async function triesOf({ retryable }: { retryable: boolean }): Promise<number> {
  let count = 0;
  const failing = async () => {
    count += 1;
    throw new QarrClientError({ code: 'x', message: '', retryable, retryAfterMs: 0 });
  };
  const options = { maxRetries: 2, retryAfterMsMax: 1, signal: undefined };
  await expect(withRetries(failing, options)).rejects.toThrow(QarrClientError);
  return count;
}
