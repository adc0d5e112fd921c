/**
 * Feeds the lines of all batches that are being worked on: for each tier a loop of its own, so that a
 * tier that is full or down keeps no other from its lines. Each gives as many lines as the tier's window
 * has room for, and each line is that of the batch whose turn it is.
 */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { EVEN_SHARES, batchWaitingMax, feedNext, nextWindow, roomFor } from '@qarr/router-core';
import type { EntryLimits, ShareState, Sharer, TierSnapshot } from '@qarr/router-core';
import type { TierWatch } from '../tier-watch.ts';
import { NO_TIER } from './line-index.ts';

/** Between two looks at a tier: no figure that a window is decided by is older. */
const STEP_MS = 50;
/** Where nothing could be fed the last times. */
const STEP_MS_MAX = 250;
/** Where there is nothing to feed, as far as anybody has said. */
const IDLE_MS = 1_000;
/** Redis did not answer, or has no room. */
const UNAVAILABLE_MS = 1_000;
/** Lines in one go: what the tier says is looked at again after that. */
const BURST = 128;
/** Of these at once: each is a few round trips. */
const AT_ONCE = 32;

/** `full`: the tier has no room; `unavailable`: nothing takes lines now. */
export type LineFed = 'ok' | 'full' | 'unavailable';

/** A batch as its lines are fed. */
export interface FedBatch extends Sharer {
  hasPending(tier: string): boolean;
  inTier(tier: string): number;
  /** Feeds its next line for the tier. Never rejects. */
  feedOne(tier: string, limitsOf: (tier: string) => EntryLimits): Promise<LineFed>;
}

export interface Feeder {
  /** Returns how to take it out again, which resolves when none of its lines is being fed any more. */
  add(batch: FedBatch): () => Promise<void>;
  /** There may be more to feed: a line has ended, or was given back. */
  wake(): void;
  /** By tier. */
  windows(): ReadonlyMap<string, number>;
  /** Resolves when no line is being fed any more. */
  stop(): Promise<void>;
}

interface TierFeed {
  window: number;
  wasLimiting: boolean;
  steppedAtMs: number;
  shares: ShareState;
}

export function createFeeder({
  watch,
  tiers,
  windowMax,
  depthMax,
  isBlocked,
}: {
  watch: Pick<TierWatch, 'snapshots' | 'freshen'>;
  tiers: readonly string[];
  windowMax: number;
  depthMax: number;
  /** Nothing is to be fed into any tier now. */
  isBlocked: () => boolean;
}): Feeder {
  const stopping = new AbortController();
  /** With the lines that are being fed. */
  const batches = new Map<FedBatch, Set<Promise<LineFed>>>();
  const feeds = new Map<string, TierFeed>();
  let waking = new AbortController();

  const inTier = (tier: string) =>
    [...batches.keys()].reduce((sum, batch) => sum + batch.inTier(tier), 0);
  const snapshotOf = (name: string) => named(name, watch.snapshots());

  function feedOf(tier: string): TierFeed {
    const fresh = { window: 0, wasLimiting: false, steppedAtMs: -Infinity, shares: EVEN_SHARES };
    const feed = feeds.get(tier) ?? fresh;
    feeds.set(tier, feed);
    return feed;
  }

  function limitsOf(tier: string): EntryLimits {
    const known = { tier: snapshotOf(tier), linesInTier: inTier(tier) };
    return {
      depthMax,
      tokensAheadMax: null,
      whileAlerting: false,
      fallbackJobsMax: null,
      batchWaitingMax: batchWaitingMax(feedOf(tier).window, known),
    };
  }

  async function roomIn(tier: string): Promise<number> {
    // Nobody runs them: what is wrong with them is their outcome.
    if (tier === NO_TIER) return BURST;
    await watch.freshen(STEP_MS);
    const feed = feedOf(tier);
    const known = { tier: snapshotOf(tier), linesInTier: inTier(tier) };
    const nowMs = performance.now();
    if (nowMs - feed.steppedAtMs >= STEP_MS) {
      const { wasLimiting } = feed;
      feed.window = nextWindow(feed.window, { ...known, wasLimiting, windowMax });
      feed.wasLimiting = false;
      feed.steppedAtMs = nowMs;
    }
    return roomFor(feed.window, { ...known, depthMax });
  }

  /** Returns what came of it: lines that were fed, and what kept it from feeding more. */
  async function feedSome(tier: string): Promise<{ fed: number; end: LineFed | 'none_left' }> {
    const feed = feedOf(tier);
    const waiting = () =>
      isBlocked() ? [] : [...batches.keys()].filter((batch) => batch.hasPending(tier));
    if (waiting().length === 0) return { fed: 0, end: 'none_left' };
    const room = Math.min(BURST, await roomIn(tier));
    let begun = 0;
    let fed = 0;
    let end: LineFed | 'none_left' = 'ok';

    async function feedInTurn(): Promise<void> {
      while (end === 'ok' && begun < room && !stopping.signal.aborted) {
        const [first, ...others] = waiting();
        if (first === undefined) {
          end = 'none_left';
          return;
        }
        begun += 1;
        const { next, state } = feedNext(feed.shares, [first, ...others]);
        feed.shares = state;
        const feeding = next.feedOne(tier, limitsOf);
        batches.get(next)?.add(feeding);
        const outcome = await feeding;
        batches.get(next)?.delete(feeding);
        // One that needed no tier has found one, and waits for it there.
        if (outcome === 'ok' || (outcome === 'full' && tier === NO_TIER)) fed += 1;
        else end = outcome;
      }
    }
    await Promise.all(Array.from({ length: Math.min(room, AT_ONCE) }, feedInTurn));
    if (end === 'ok' && begun >= room && room < BURST) end = 'full';
    if (end === 'full') feed.wasLimiting = true;
    return { fed, end };
  }

  async function feedUntilStopped(tier: string): Promise<void> {
    let pauseMs = STEP_MS;
    while (!stopping.signal.aborted) {
      // Whoever wakes it meanwhile is not missed.
      const woken = waking.signal;
      const { fed, end } = await feedSome(tier);
      // Lines that need nothing but this process must not keep it from all else.
      if (end === 'ok') await setImmediate();
      if (end === 'ok') continue;
      pauseMs = fed > 0 ? STEP_MS : Math.min(STEP_MS_MAX, 2 * pauseMs);
      if (end === 'none_left') await nap(IDLE_MS, woken);
      else if (end === 'unavailable') await nap(UNAVAILABLE_MS, stopping.signal);
      else await nap(pauseMs, pauseMs > STEP_MS ? waking.signal : stopping.signal);
    }
  }

  function wake(): void {
    waking.abort();
    waking = new AbortController();
  }

  const loops = [...tiers, NO_TIER].map(feedUntilStopped);
  return {
    add(batch) {
      const beingFed = new Set<Promise<LineFed>>();
      batches.set(batch, beingFed);
      wake();
      return async () => {
        batches.delete(batch);
        await Promise.all(beingFed);
      };
    },
    wake,
    windows: () => new Map(tiers.map((tier) => [tier, feedOf(tier).window])),
    async stop() {
      stopping.abort();
      wake();
      await Promise.all(loops);
    },
  };
}

async function nap(ms: number, until: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal: until }).catch(() => {});
}

function named(name: string, tiers: readonly TierSnapshot[]): TierSnapshot {
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) throw new Error(`There is no tier ${name}`);
  return tier;
}
