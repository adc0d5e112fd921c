import { describe, expect, it } from 'vitest';
import { within } from './within.ts';

const LONG_MS = 600_000;

function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

describe('waiting within a limit', () => {
  it('ends with the promise, and leaves no timer behind', async () => {
    const before = timers();
    await within(LONG_MS, Promise.resolve('done'));
    expect(timers()).toBe(before);
  });

  it('fails with the promise, and leaves no timer behind', async () => {
    const before = timers();
    await expect(within(LONG_MS, Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(timers()).toBe(before);
  });

  it('ends without the promise, whose failure comes too late to matter', async () => {
    const late = Promise.withResolvers<void>();
    await within(1, late.promise);
    late.reject(new Error('late'));
    await expect(late.promise).rejects.toThrow('late');
  });
});
