import * as fc from 'fast-check';
import type { BreakerName } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { NO_CAPABILITIES } from '../capabilities.ts';
import type { Engine } from '../engine.ts';
import { createServedModel } from './served-model.ts';
import type { Upstream } from './upstream.ts';
import { createUpstreams } from './upstreams.ts';

const CEILING = 8;

interface FakeState {
  breaker: BreakerName;
  retryInMs: number | null;
  isReady: boolean;
  isOut: boolean;
  limit: number;
  running: number;
  maxModelLen: number | null;
  tokenMs: number | null;
}

/** An engine in this state, which takes whatever it is given. */
function fakeUpstream(state: FakeState, index: number): Upstream {
  const url = `http://engine-${index}`;
  return {
    url,
    get isReady() {
      return state.isReady;
    },
    get isOut() {
      return state.isOut;
    },
    get limit() {
      return state.limit;
    },
    get running() {
      return state.running;
    },
    get free() {
      return state.isReady ? Math.max(0, state.limit - state.running) : 0;
    },
    get isAble() {
      return state.isReady && state.running < CEILING;
    },
    maxModelLen: state.maxModelLen,
    tokenMs: state.tokenMs,
    follow() {},
    acquire() {
      state.running += 1;
      return {
        url,
        engine: null as unknown as Engine,
        model: url,
        capabilities: NO_CAPABILITIES,
        sawToken() {},
        report: (outcome) => outcome,
        release() {
          state.running -= 1;
        },
      };
    },
    status: () => ({
      url,
      state: state.isReady ? 'ready' : 'warming',
      running: state.running,
      slots: state.isReady ? state.limit : 0,
      waiting: null,
      kv_usage: null,
      preemptions: null,
      model: null,
      max_model_len: state.maxModelLen,
      version: null,
      breaker: state.breaker,
      retry_in_ms: state.retryInMs,
    }),
    async stop() {},
  };
}

function poolOf(states: readonly Partial<FakeState>[]) {
  const all = states.map((state) => ({
    isReady: true,
    isOut: state.isReady === false,
    limit: 4,
    running: 0,
    maxModelLen: null,
    tokenMs: null,
    breaker: 'closed' as const,
    retryInMs: null,
    ...state,
  }));
  const [first, ...others] = all.map(fakeUpstream);
  if (first === undefined) throw new Error('An engine is needed');
  const pool = createUpstreams({
    upstreams: [first, ...others],
    servedModel: createServedModel('m'),
    fallbackModel: 'fast',
  });
  return { pool, states: all };
}

const OPEN = { isReady: false, breaker: 'open' } as const;

const anyStates = fc.array(
  fc.record({
    isReady: fc.boolean(),
    limit: fc.integer({ min: 1, max: 8 }),
    running: fc.nat(8),
    maxModelLen: fc.option(fc.integer({ min: 1, max: 9 })),
  }),
  { minLength: 1, maxLength: 6 },
);

describe('the engines of a worker', () => {
  it('give a job to the least loaded that is ready, and never more than the ceiling', () => {
    fc.assert(
      fc.property(anyStates, (given) => {
        const { pool, states } = poolOf(given.map((state) => ({ ...state })));
        const able = states.filter(({ isReady, running }) => isReady && running < 8);
        const least = Math.min(...able.map(({ running, limit }) => running / limit));
        const slot = pool.acquire();
        if (able.length === 0) {
          expect(slot).toBeNull();
          return;
        }
        const taken = states[Number(slot?.model.at(-1))];
        expect(taken?.isReady).toBe(true);
        expect(((taken?.running ?? 0) - 1) / (taken?.limit ?? 1)).toBe(least);
      }),
    );
  });

  it('spare a job the engine that failed it, where there is another', () => {
    const { pool } = poolOf([{}, { running: 3 }]);
    expect(pool.acquire({ avoid: 'http://engine-0' })?.url).toBe('http://engine-1');
    const alone = poolOf([{}, { isReady: false }]).pool;
    expect(alone.acquire({ avoid: 'http://engine-0' })?.url).toBe('http://engine-0');
  });

  it.each<[string, Partial<FakeState>[], number | null]>([
    ['each with all its slots', [{ tokenMs: 10 }, { tokenMs: 20, limit: 2 }], 400 + 100],
    ['those that are ready and known', [{ tokenMs: 10 }, { tokenMs: 1, isReady: false }, {}], 400],
    ['nobody', [{}], null],
  ])('make so many tokens, by how they were warmed: %s', (_name, states, expected) => {
    expect(poolOf(states).pool.firstTokensPerS()).toBe(expected);
  });

  it('share the work by their limits', () => {
    const { pool, states } = poolOf([{ limit: 2 }, { limit: 6 }, { limit: 4 }]);
    for (let job = 0; job < 12; job += 1) pool.acquire();
    expect(states.map(({ running }) => running)).toEqual([2, 6, 4]);
  });

  it('take turns where they are equally loaded', () => {
    const { pool } = poolOf([{}, {}, {}]);
    const taken = Array.from({ length: 9 }, () => {
      const slot = pool.acquire();
      slot?.release();
      return slot?.model;
    });
    expect(new Set(taken).size).toBe(3);
    for (let index = 3; index < 9; index += 1) expect(taken[index]).toBe(taken[index - 3]);
  });

  it('take a job whose place has just been taken away', () => {
    const { pool, states } = poolOf([
      { limit: 1, running: 3 },
      { limit: 1, running: 2 },
    ]);
    pool.acquire();
    expect(states.map(({ running }) => running)).toEqual([3, 3]);
  });

  it('let as many jobs run as run now and as the ready ones have room for', () => {
    fc.assert(
      fc.property(anyStates, (given) => {
        const { pool, states } = poolOf(given.map((state) => ({ ...state })));
        const { slots, free, jobsMax } = pool.capacity();
        const running = states.reduce((sum, state) => sum + state.running, 0);
        expect(jobsMax).toBe(running + free);
        const hasReady = states.some(({ isReady }) => isReady);
        expect(slots > 0).toBe(hasReady);
        // While there is room, each job that is taken uses one place of it.
        for (let left = free; left > 0; left -= 1) {
          expect(pool.acquire()).not.toBeNull();
          expect(pool.capacity()).toEqual({ slots, free: left - 1, jobsMax });
        }
      }),
    );
  });
});

describe('what the heartbeat says of them', () => {
  it('is the first that is ready, and the smallest window of those', () => {
    const { pool } = poolOf([
      { isReady: false, maxModelLen: 1 },
      { limit: 3, maxModelLen: 5 },
      { limit: 4, maxModelLen: 2 },
      { limit: 5, maxModelLen: null },
    ]);
    const { upstreams, ...summary } = pool.summary();
    expect(summary).toEqual({
      slots: 12,
      breaker: 'closed',
      retry_in_ms: null,
      upstream: 'http://engine-1',
      model: 'm',
      max_model_len: 2,
    });
    expect(upstreams?.map(({ state }) => state)).toEqual(['warming', 'ready', 'ready', 'ready']);
  });

  it('is the first and what was known of all, where none is ready', () => {
    const { pool } = poolOf([{ isReady: false }, { isReady: false, maxModelLen: 7 }]);
    expect(pool.summary()).toMatchObject({
      slots: 0,
      breaker: 'open',
      upstream: 'http://engine-0',
      max_model_len: 7,
    });
  });

  it.each<[string, Partial<FakeState>[], object]>([
    ['closed', [{ ...OPEN, retryInMs: 5 }, {}], { breaker: 'closed', retry_in_ms: null }],
    [
      'half-open',
      [{ ...OPEN, retryInMs: 5 }, { breaker: 'half_open' }],
      { breaker: 'half_open', retry_in_ms: null },
    ],
    [
      'open',
      [{ ...OPEN, retryInMs: 7 }, { ...OPEN, retryInMs: 5 }, { isReady: false }],
      { breaker: 'open', retry_in_ms: 5 },
    ],
    ['closed where it is warmed first', [{ isReady: false, isOut: false }], { breaker: 'closed' }],
    ['half-open where it is probed', [{ ...OPEN, breaker: 'half_open' }], { breaker: 'half_open' }],
  ])('is the best of their breakers: %s', (_name, states, expected) => {
    expect(poolOf(states).pool.summary()).toMatchObject(expected);
  });
});
