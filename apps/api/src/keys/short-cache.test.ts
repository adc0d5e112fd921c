import { describe, expect, it } from 'vitest';
import { createShortCache } from './short-cache.ts';

function build(entriesMax = 3) {
  const clock = { nowMs: 0 };
  const asked: string[] = [];
  const cache = createShortCache<{ name: string }>({
    forMs: 10,
    entriesMax,
    now: () => clock.nowMs,
  });
  const ask = (name: string, answer: { name: string } | null = { name }) =>
    cache.get(name, async () => {
      asked.push(name);
      return answer;
    });
  return { cache, clock, asked, ask };
}

describe('what was looked up', () => {
  it('is looked up again when its time is over, whether it was there or not', async () => {
    const { clock, asked, ask } = build();
    await ask('a');
    await ask('b', null);
    clock.nowMs = 9;
    expect(await ask('a')).toEqual({ name: 'a' });
    expect(await ask('b')).toBeNull();
    expect(asked).toEqual(['a', 'b']);
    clock.nowMs = 10;
    await ask('a');
    expect(await ask('b')).toEqual({ name: 'b' });
    expect(asked).toEqual(['a', 'b', 'a', 'b']);
  });

  it('is as old as the question, not as the answer', async () => {
    const { cache, clock, asked, ask } = build();
    const answer = Promise.withResolvers<{ name: string }>();
    const first = cache.get('a', () => answer.promise);
    clock.nowMs = 8;
    answer.resolve({ name: 'old' });
    await first;
    clock.nowMs = 10;
    await ask('a');
    expect(asked).toEqual(['a']);
  });

  it('is shared by those who ask at once', async () => {
    const { asked, ask } = build();
    await Promise.all([ask('a'), ask('a'), ask('a')]);
    expect(asked).toEqual(['a']);
  });

  it('is not remembered where it failed', async () => {
    const { cache, ask } = build();
    const failing = cache.get('a', () => Promise.reject(new Error('gone')));
    await expect(failing).rejects.toThrow('gone');
    expect(await ask('a')).toEqual({ name: 'a' });
  });

  it('is bounded, and what is there is not pushed out by what is not', async () => {
    const { asked, ask } = build();
    await ask('a');
    for (const name of ['1', '2', '3', '4', '5']) await ask(name, null);
    await ask('a');
    await ask('1', null);
    await ask('5', null);
    expect(asked).toEqual(['a', '1', '2', '3', '4', '5', '1']);
  });
});
