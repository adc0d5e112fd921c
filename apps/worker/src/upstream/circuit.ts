/**
 * The breaker of one engine: this worker's own (`router-core/breaker.ts`), in step with the one that all
 * workers share.
 *
 * While it is closed everybody asks the engine as he likes. While it is not, one worker at a time does:
 * the one that holds the lease of the probe. What it finds it says to all; the others follow.
 * Without Redis nobody can say who that is, and each worker finds out for itself.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SharedBreakers } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import {
  askBreaker,
  closedBreaker,
  followBreaker,
  restartBreaker,
  settleBreaker,
} from '@qarr/router-core';
import type {
  BreakerName,
  BreakerOptions,
  BreakerTold,
  CallOutcome,
  Permit,
} from '@qarr/router-core';

/** Well below the time for which the lease is held. */
const RENEW_EVERY_MS = 1_000;
/** Between two questions whose turn it is. */
const TURN_EVERY_MS = 1_000;

export interface Circuit {
  readonly kind: BreakerName;
  /** Until it is open no longer; null when it is not open. */
  readonly retryInMs: number | null;
  /** A call may be made: one at a time where it is half-open. */
  readonly isFree: boolean;
  /** Leave to make one call, which owes its outcome; null: not now. */
  ask(): Permit | null;
  settle(permit: Permit, outcome: CallOutcome): void;
  /** Something other than a call has shown that the engine is broken. */
  fail(): void;
  /** The engine's process is for sure a new one. */
  restart(): void;
  /**
   * Waits until this worker may ask the engine something: its breaker is closed, or it is this worker
   * that probes it.
   */
  turn(signal: AbortSignal): Promise<void>;
  /** The engine is not there: who probes it next does so after this time. */
  rest(ms: number): void;
  /** Others have made it this. */
  follow(told: BreakerTold): void;
  stop(): Promise<void>;
}

export type CircuitSharing = Pick<SharedBreakers, 'say' | 'hold' | 'leave'>;

export interface CircuitListener {
  /** It has become another; `open`: no job may be sent there. */
  onBreaker(kind: BreakerName): void;
  /** Another worker is to probe it, though this one was about to. */
  onLeaseLost(): void;
}

export function createCircuit({
  url,
  options,
  shared,
  listener,
  log,
  random,
}: {
  url: string;
  options: BreakerOptions;
  shared: CircuitSharing;
  listener: CircuitListener;
  log: Logger;
  random: () => number;
}): Circuit {
  let breaker = closedBreaker(performance.now());
  let isProber = false;
  /** What others said while this worker spoke for all. */
  let unheard: { told: BreakerTold; atMs: number } | null = null;
  /** What is said, and who probes, is settled one after the other. */
  let settling: Promise<unknown> = Promise.resolve();
  let renewing: NodeJS.Timeout | undefined;
  /** Grows with each wish to hold or to leave the lease: the last one counts. */
  let wish = 0;

  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = settling.then(act);
    settling = result;
    return result;
  }

  function become(next: typeof breaker, by: 'this worker' | 'all'): void {
    const before = breaker;
    breaker = next;
    if (next.kind === before.kind) return;
    const retryInMs = openForMs();
    const details = {
      trips: next.trips,
      by,
      ...(next.kind === 'open' ? { retry_in_ms: retryInMs } : {}),
    };
    log[next.kind === 'open' ? 'warn' : 'info'](details, `breaker ${next.kind}`);
    if (by === 'this worker') {
      unheard = null;
      const told = { kind: next.kind, trips: next.trips, retryInMs };
      void inTurn(() => shared.say(url, told));
    }
    // Whoever gets it next: one whose network is better.
    if (next.kind !== 'half_open') leave(0);
    listener.onBreaker(next.kind);
  }

  function openForMs(): number {
    if (breaker.kind !== 'open') return 0;
    return Math.max(0, Math.round(breaker.untilMs - performance.now()));
  }

  async function hold(): Promise<boolean> {
    wish += 1;
    const mine = wish;
    const lease = await inTurn(() => shared.hold(url));
    if (mine !== wish) return isProber;
    // Nobody can say who probes: so does everybody.
    isProber = lease !== 'taken';
    clearTimeout(renewing);
    if (isProber) renewing = setTimeout(() => void renew(), RENEW_EVERY_MS);
    return isProber;
  }

  async function renew(): Promise<void> {
    if (!isProber || (await hold())) return;
    if (breaker.kind === 'closed') return;
    if (unheard !== null) follow(unheard.told, unheard.atMs);
    listener.onLeaseLost();
  }

  function leave(restMs: number): void {
    wish += 1;
    clearTimeout(renewing);
    if (!isProber) return;
    isProber = false;
    void inTurn(() => shared.leave(url, { restMs }));
  }

  function follow(told: BreakerTold, atMs: number): void {
    unheard = null;
    become(followBreaker(breaker, told, atMs), 'all');
  }

  function settle(permit: Permit, outcome: CallOutcome): void {
    const nowMs = performance.now();
    const call = { permit, outcome, nowMs, random: random(), options };
    become(settleBreaker(breaker, call), 'this worker');
  }

  function ask(): Permit | null {
    const asked = askBreaker(breaker, performance.now());
    become(asked.breaker, 'this worker');
    return asked.kind === 'go' ? asked.permit : null;
  }

  return {
    get kind() {
      return breaker.kind;
    },
    get retryInMs() {
      return breaker.kind === 'open' ? openForMs() : null;
    },
    get isFree() {
      return breaker.kind === 'closed' || (breaker.kind === 'half_open' && !breaker.isProbing);
    },
    ask,
    settle,

    fail() {
      // The verdict on the call that is out, or on one that there might have been.
      const permit = ask() ?? { serial: breaker.serial };
      settle(permit, 'failed');
    },

    restart: () => become(restartBreaker(breaker), 'this worker'),

    async turn(signal) {
      while (!signal.aborted) {
        if (breaker.kind === 'closed' || (await hold())) return;
        await sleep(TURN_EVERY_MS, null, { signal }).catch(() => {});
      }
    },

    rest: leave,

    follow(told) {
      const nowMs = performance.now();
      if (isProber && breaker.kind !== 'closed') unheard = { told, atMs: nowMs };
      else follow(told, nowMs);
    },

    async stop() {
      leave(0);
      await settling;
    },
  };
}
