import { NO_LOAD } from '@qarr/router-core';
import type { TierSnapshot } from '@qarr/router-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createFeeder } from './feeding.ts';
import type { FedBatch } from './feeding.ts';

const DAY_MS = 86_400_000;

function tier(name: string, fields: Partial<TierSnapshot> = {}): TierSnapshot {
  const known = { load: NO_LOAD, ahead: null, slots: 8, liveWorkers: 1, tokensPerS: null };
  return { name, ...known, breaker: 'closed', retryInMs: null, ...fields };
}

function feederOf(
  tiers: readonly TierSnapshot[],
  {
    windowMax = 1_000,
    isBlocked = () => false,
  }: { windowMax?: number; isBlocked?: () => boolean } = {},
) {
  const feeder = createFeeder({
    watch: { snapshots: () => tiers, freshen: async () => true },
    tiers: tiers.map(({ name }) => name),
    windowMax,
    depthMax: 10_000,
    isBlocked,
  });
  onTestFinished(() => feeder.stop());
  return feeder;
}

/** So many lines for each tier. `order` gets its id for each that is fed; it says when all are. */
function batchOf(id: string, lines: Record<string, number>, order: string[], owner = id) {
  const left = { ...lines };
  const all = Promise.withResolvers<void>();
  const batch: FedBatch = {
    id,
    owner,
    windowMs: DAY_MS,
    inTier: () => 0,
    hasPending: (name) => (left[name] ?? 0) > 0,
    async feedOne(name) {
      left[name] = (left[name] ?? 0) - 1;
      order.push(id);
      if (Object.values(left).every((count) => count === 0)) all.resolve();
      return 'ok';
    },
  };
  return { batch, left, isFed: all.promise };
}

describe('feeding', () => {
  it('gives a tier its lines while another takes none', async () => {
    const feeder = feederOf([tier('fast'), tier('down', { breaker: 'open' })]);
    const waiting = batchOf('waiting', { down: 5 }, []);
    const going = batchOf('going', { fast: 300 }, []);
    feeder.add(waiting.batch);
    feeder.add(going.batch);
    await going.isFed;
    expect(waiting.left).toEqual({ down: 5 });
    expect(feeder.windows().get('down')).toBe(0);
    expect(feeder.windows().get('fast')).toBeGreaterThan(0);
  });

  it('shares a tier by tenants, and feeds nothing of a batch that was taken out', async () => {
    const feeder = feederOf([tier('fast')]);
    const order: string[] = [];
    const [one, two, other] = [
      batchOf('ann-1', { fast: 500 }, order, 'ann'),
      batchOf('ann-2', { fast: 500 }, order, 'ann'),
      batchOf('bob', { fast: 500 }, order, 'bob'),
    ];
    const gone = batchOf('gone', { fast: 500 }, order);
    const leave = feeder.add(gone.batch);
    await leave();
    for (const { batch } of [one, two, other]) feeder.add(batch);
    await other.isFed;
    const shares = Object.groupBy(order.slice(0, 400), (id) => id);
    expect(shares['bob']?.length).toBeGreaterThan(190);
    expect(shares['ann-1']?.length).toBeGreaterThan(90);
    expect(shares['ann-2']?.length).toBeGreaterThan(90);
    expect(order).not.toContain('gone');
  });

  it('goes on with what needs no tier while all of them are down', async () => {
    const feeder = feederOf([tier('down', { liveWorkers: 0 })]);
    const wrong = batchOf('wrong', { '': 200 }, []);
    feeder.add(wrong.batch);
    await wrong.isFed;
    expect(wrong.left).toEqual({ '': 0 });
  });

  it('feeds nothing while too much is held, be it for a tier or not', async () => {
    let isBlocked = false;
    const feeder = feederOf([tier('fast')], { isBlocked: () => isBlocked });
    const order: string[] = [];
    const { batch, isFed } = batchOf('one', { fast: 40, '': 40 }, order);
    feeder.add({
      ...batch,
      async feedOne(...args) {
        // Until it is said that there is room again.
        expect(isBlocked).toBe(false);
        isBlocked = order.length === 20;
        if (isBlocked) setTimeout(unblock, 0);
        return batch.feedOne(...args);
      },
    });
    function unblock(): void {
      isBlocked = false;
      feeder.wake();
    }
    await isFed;
    expect(order).toHaveLength(80);
  });

  it('says by which limits a line is admitted, the window among them', async () => {
    const feeder = feederOf([tier('fast')], { windowMax: 7 });
    const found = Promise.withResolvers<number | undefined>();
    feeder.add({
      ...batchOf('one', { fast: 50 }, []).batch,
      async feedOne(name, limitsOf) {
        const { batchWaitingMax, whileAlerting } = limitsOf(name);
        expect(whileAlerting).toBe(false);
        if (batchWaitingMax === 7) found.resolve(batchWaitingMax);
        return 'ok';
      },
      hasPending: (name) => name === 'fast',
    });
    // It has grown to its limit.
    expect(await found.promise).toBe(7);
  });
});
