import { createLogger } from '@qarr/process';
import { BREAKER_DEFAULTS } from '@qarr/router-core';
import type { BreakerName } from '@qarr/router-core';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createCircuit } from './circuit.ts';
import type { CircuitSharing } from './circuit.ts';

const PATIENCE = { timeout: 10_000, interval: 2 };
const URL_OF_ENGINE = 'http://engine';
const NEVER_MS = 3_600_000;

/** A breaker whose worker shares it with others, as the test says. */
function create({ openMs = NEVER_MS }: { openMs?: number } = {}) {
  const world = { lease: 'held' as Awaited<ReturnType<CircuitSharing['hold']>> };
  const calls: string[] = [];
  const became: (BreakerName | 'lost')[] = [];
  const circuit = createCircuit({
    url: URL_OF_ENGINE,
    options: { ...BREAKER_DEFAULTS, resetTimeoutMs: openMs, resetTimeoutMsMax: openMs },
    shared: {
      async say(_url, { kind, trips }) {
        calls.push(`say ${kind} ${trips}`);
      },
      async hold() {
        calls.push('hold');
        return world.lease;
      },
      async leave(_url, { restMs }) {
        calls.push(`leave for ${restMs}`);
      },
    },
    listener: {
      onBreaker: (kind) => void became.push(kind),
      onLeaseLost: () => void became.push('lost'),
    },
    log: createLogger({ name: 'test', level: 'silent' }),
    random: () => 0.5,
  });
  const stopping = new AbortController();
  onTestFinished(async () => {
    stopping.abort();
    await circuit.stop();
  });
  function call(outcome: 'succeeded' | 'failed'): void {
    const permit = circuit.ask();
    if (permit !== null) circuit.settle(permit, outcome);
  }
  function trip(): void {
    for (let failure = 0; failure < 5; failure += 1) call('failed');
  }
  const has = (...expected: string[]) =>
    vi.waitFor(() => expect(calls).toEqual(expected), PATIENCE);
  return {
    circuit,
    world,
    calls,
    became,
    call,
    trip,
    has,
    turn: () => circuit.turn(stopping.signal),
  };
}

describe('the breaker of a worker among others', () => {
  it('lets it ask while it is closed, without asking anybody', async () => {
    const { turn, calls } = create();
    await turn();
    expect(calls).toEqual([]);
  });

  it('says what it has become, in that order, and leaves the probe to others', async () => {
    const { circuit, trip, call, turn, has, became } = create();
    trip();
    await turn();
    circuit.restart();
    for (let probe = 0; probe < 3; probe += 1) call('succeeded');
    await has('say open 1', 'hold', 'say half_open 0', 'say closed 0', 'leave for 0');
    expect(became).toEqual(['open', 'half_open', 'closed']);
  });

  it('leaves the probe to others when it failed', async () => {
    const { circuit, trip, call, turn, has } = create();
    trip();
    await turn();
    circuit.restart();
    call('failed');
    await has('say open 1', 'hold', 'say half_open 0', 'say open 1', 'leave for 0');
  });

  it('waits while another one probes, until that has closed it', async () => {
    const { circuit, world, turn, trip, calls } = create();
    world.lease = 'taken';
    trip();
    let isItsTurn = false;
    const waiting = turn().then(() => (isItsTurn = true));
    await vi.waitFor(() => expect(calls).toContain('hold'), PATIENCE);
    circuit.follow({ kind: 'half_open', trips: 1, retryInMs: 0 });
    expect(isItsTurn).toBe(false);
    circuit.follow({ kind: 'closed', trips: 1, retryInMs: 0 });
    await waiting;
    expect(calls.filter((each) => each.startsWith('say'))).toEqual(['say open 1']);
  });

  it('takes over from one that is gone', async () => {
    const { circuit, world, turn, trip, became } = create();
    world.lease = 'taken';
    trip();
    circuit.follow({ kind: 'half_open', trips: 1, retryInMs: 0 });
    const waiting = turn();
    world.lease = 'held';
    await waiting;
    expect(circuit.ask()).not.toBeNull();
    expect(became).toEqual(['open', 'half_open']);
  });

  it('is for each worker to find out where Redis does not answer', async () => {
    const { circuit, world, turn, trip } = create({ openMs: 1 });
    world.lease = 'unknown';
    trip();
    await turn();
    await vi.waitFor(() => expect(circuit.ask()).not.toBeNull(), PATIENCE);
  });

  it('does not listen to others while it speaks for all, and does when it no longer may', async () => {
    const { circuit, world, turn, trip, became } = create();
    trip();
    await turn();
    circuit.restart();
    circuit.follow({ kind: 'closed', trips: 7, retryInMs: 0 });
    expect(circuit.kind).toBe('half_open');
    world.lease = 'taken';
    await vi.waitFor(() => expect(circuit.kind).toBe('closed'), PATIENCE);
    expect(became).toEqual(['open', 'half_open', 'closed', 'lost']);
  });

  it('leaves the probe when its worker stops', async () => {
    const { circuit, turn, trip, calls } = create();
    trip();
    await turn();
    await circuit.stop();
    expect(calls).toEqual(['say open 1', 'hold', 'leave for 0']);
  });
});
