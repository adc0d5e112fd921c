import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createOwedCancels } from './owed-cancels.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A Redis that may be away, and the jobs that it knows. */
function world({ owedMax = 10 } = {}) {
  const redis = { isAway: false, jobs: new Set<string>(), calls: [] as string[] };
  const forgotten: string[] = [];
  const owed = createOwedCancels({
    owedMax,
    onForgotten: (id) => void forgotten.push(id),
    async cancel(id) {
      redis.calls.push(id);
      if (redis.isAway) throw new Error('away');
      return redis.jobs.delete(id) ? 'cancelled' : null;
    },
  });
  return { redis, forgotten, owed };
}

describe('a cancellation that is owed', () => {
  it('is done at once where Redis answers, and not again', async () => {
    const { redis, owed } = world();
    redis.jobs.add('a');
    await owed.owe('a');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(redis.calls).toEqual(['a']);
    await owed.stop();
  });

  it('is tried again until Redis answers, all of them in turn', async () => {
    const { redis, owed } = world();
    redis.jobs = new Set(['a', 'b']);
    redis.isAway = true;
    await Promise.all([owed.owe('a'), owed.owe('b')]);
    await vi.advanceTimersByTimeAsync(5_000);
    // One call a second tells that Redis is away.
    expect(redis.calls).toEqual(['a', 'b', 'a', 'a', 'a', 'a', 'a']);
    redis.isAway = false;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(redis.jobs.size).toBe(0);
    const { length } = redis.calls;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(redis.calls).toHaveLength(length);
    await owed.stop();
  });

  it('waits for a job that may still appear, but not for ever', async () => {
    const { redis, owed } = world();
    await Promise.all([owed.owe('late', { mayAppear: true }), owed.owe('never')]);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(redis.calls.filter((id) => id === 'never')).toHaveLength(1);
    redis.jobs.add('late');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(redis.jobs.size).toBe(0);
    await owed.owe('not at all', { mayAppear: true });
    await vi.advanceTimersByTimeAsync(60_000);
    const { length } = redis.calls;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(redis.calls).toHaveLength(length);
    await owed.stop();
  });

  it('pushes the oldest out where there are too many, and says so', async () => {
    const { redis, owed, forgotten } = world({ owedMax: 2 });
    redis.jobs = new Set(['a', 'b', 'c']);
    redis.isAway = true;
    for (const id of ['a', 'b', 'c']) await owed.owe(id);
    redis.isAway = false;
    await owed.stop();
    expect([forgotten, [...redis.jobs]]).toEqual([['a'], ['a']]);
  });
});
