import { QarrError } from '@qarr/router-core';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { answered } from './answered.ts';

describe('a call that somebody waits for', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it('is given up after a second, however many commands it is made of', async () => {
    const calls = (async () => {
      // Each in time, for itself.
      for (let call = 0; call < 4; call += 1) {
        await new Promise((resolve) => setTimeout(resolve, 900));
      }
    })();
    const outcome = answered(calls).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(999);
    await expect(Promise.race([outcome, Promise.resolve('waits')])).resolves.toBe('waits');
    await vi.advanceTimersByTimeAsync(1);
    await expect(outcome).resolves.toMatchObject({ code: 'queue_unavailable' });
    await vi.advanceTimersByTimeAsync(5_000);
  });

  it('fails as unanswered whatever fails, but for what is no failure of Redis', async () => {
    const lost = answered(Promise.reject(new Error('READONLY')));
    await expect(lost).rejects.toMatchObject({ code: 'queue_unavailable' });
    const full = answered(Promise.reject(new QarrError('storage_full')));
    await expect(full).rejects.toMatchObject({ code: 'storage_full' });
  });

  it('leaves no timer behind when it is answered', async () => {
    await expect(answered(Promise.resolve(1))).resolves.toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
