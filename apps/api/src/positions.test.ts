import { NO_LOAD, tierSnapshot } from '@qarr/router-core';
import type { QueuePlace } from '@qarr/router-core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createPositions } from './positions.ts';
import type { QueuedJob } from './positions.ts';

const job = (id: string): QueuedJob => ({ id, tier: 'fast', class: 'standard' });

/** Positions of jobs as they are in `places`; null: Redis does not answer. */
function world(places: Record<string, number> | null, perRound?: number) {
  vi.useFakeTimers();
  const asked: (readonly string[])[] = [];
  const state = { places, answering: Promise.resolve() };
  const positions = createPositions({
    store: {
      async placesOf(ids) {
        asked.push(ids);
        if (state.places === null) throw new Error('Redis does not answer');
        await state.answering;
        return ids.map((id) => state.places?.[id] ?? null);
      },
    },
    watch: {
      snapshots: () => [tierSnapshot({ name: 'fast', depth: 0, load: NO_LOAD, workers: [] })],
    },
    ...(perRound === undefined ? {} : { perRound }),
  });
  onTestFinished(() => {
    positions.stop();
    vi.useRealTimers();
  });
  const told: [string, QueuePlace][] = [];
  return {
    state,
    asked,
    told: () => told.splice(0).map(([id, { position }]) => `${id} ${position}`),
    follow: (id: string, known: number | null = null) =>
      positions.follow(job(id), { told: known, tell: (place) => void told.push([id, place]) }),
    round: () => vi.advanceTimersByTimeAsync(1_000),
    placeOf: (id: string) => positions.placeOf(job(id)),
  };
}

describe('who follows a job that waits', () => {
  it('is told its position once a second at most, and only what is new', async () => {
    const { state, asked, told, follow, round } = world({ a: 3, b: 1 });
    follow('a');
    follow('b', 1);
    await round();
    expect(told()).toEqual(['a 3']);
    await round();
    expect(told()).toEqual([]);
    state.places = { a: 2, b: 1 };
    await round();
    expect(told()).toEqual(['a 2']);
    expect(asked).toEqual([
      ['a', 'b'],
      ['a', 'b'],
      ['a', 'b'],
    ]);
  });

  it('is told nothing of a job that does not wait, nor after it has left', async () => {
    const { asked, told, follow, round } = world({ a: 1 });
    follow('gone');
    const leave = follow('a');
    leave();
    await round();
    expect(told()).toEqual([]);
    expect(asked).toEqual([['gone']]);
  });

  it('is told nothing any more when it leaves while its place is asked for', async () => {
    const { state, asked, told, follow, round } = world({ a: 1 });
    const { promise, resolve } = Promise.withResolvers<void>();
    state.answering = promise;
    const leave = follow('a');
    await round();
    leave();
    resolve();
    await round();
    expect(told()).toEqual([]);
    expect(asked).toEqual([['a']]);
  });

  it('takes turns with the others when they are many', async () => {
    const { asked, follow, round } = world({}, 2);
    for (const id of ['a', 'b', 'c']) follow(id);
    await round();
    await round();
    await round();
    expect(asked).toEqual([
      ['a', 'b'],
      ['c', 'a'],
      ['b', 'c'],
    ]);
  });

  it('is told again when Redis is back', async () => {
    const { state, told, follow, round } = world(null);
    follow('a');
    await round();
    state.places = { a: 1 };
    await round();
    expect(told()).toEqual(['a 1']);
  });
});

it('nobody is asked for while nobody follows', async () => {
  const { asked, round } = world({});
  await round();
  expect(asked).toEqual([]);
});

it('a single job can be asked for', async () => {
  const { placeOf } = world({ a: 4 });
  expect(await placeOf('a')).toEqual({ position: 4, estimatedWaitMs: null });
  expect(await placeOf('b')).toBeNull();
});
