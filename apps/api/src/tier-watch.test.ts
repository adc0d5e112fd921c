import { DEFAULT_POLICY, NO_LOAD } from '@qarr/router-core';
import type { TierStatus, WorkerStatus } from '@qarr/router-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { watchTiers } from './tier-watch.ts';

function worker(fields: Partial<WorkerStatus> = {}): WorkerStatus {
  return {
    id: 'w',
    host: 'h',
    pid: 1,
    slots: 2,
    running: 2,
    breaker: 'closed',
    upstream: 'http://127.0.0.1:8000',
    model: 'org/model',
    max_model_len: null,
    service_ms: 1_000,
    ...fields,
  };
}

/** A store that knows these tiers; null: Redis does not answer. */
function watch(known: { tiers: TierStatus[] | null; looks?: number }) {
  const store = {
    async status(name: string): Promise<TierStatus> {
      known.looks = (known.looks ?? 0) + 1;
      if (known.tiers === null) throw new Error('Redis does not answer');
      const status = known.tiers.find((tier) => tier.name === name);
      return status ?? { name, depth: 0, load: NO_LOAD, workers: [] };
    },
  };
  const watching = watchTiers({ store, policy: DEFAULT_POLICY });
  onTestFinished(() => watching.stop());
  return watching;
}

describe('what is known of the tiers', () => {
  it('is what is configured, until the first look', () => {
    const watching = watch({ tiers: null });
    expect(watching.statuses().map(({ name, depth }) => [name, depth])).toEqual([
      ['fast', 0],
      ['balanced', 0],
      ['precise', 0],
    ]);
    expect(watching.policy()).toEqual(DEFAULT_POLICY);
    expect(watching.servedModels()).toEqual([]);
    expect(watching.snapshots().map(({ name }) => name)).toEqual(['fast', 'balanced', 'precise']);
  });

  it('has the smallest window that a live engine of the tier has told', async () => {
    const workers = [worker({ max_model_len: 4_000 }), worker({ max_model_len: 1_000 }), worker()];
    const watching = watch({ tiers: [{ name: 'fast', depth: 0, load: NO_LOAD, workers }] });
    await watching.refresh();
    const windows = watching.policy().tiers.map(({ maxModelLen }) => maxModelLen);
    const [, balanced, precise] = DEFAULT_POLICY.tiers.map(({ maxModelLen }) => maxModelLen);
    expect(windows).toEqual([1_000, balanced, precise]);
  });

  it('names each served model once', async () => {
    const watching = watch({
      tiers: [
        { name: 'fast', depth: 0, load: NO_LOAD, workers: [worker(), worker({ model: 'other' })] },
        { name: 'precise', depth: 0, load: NO_LOAD, workers: [worker()] },
      ],
    });
    await watching.refresh();
    expect(watching.servedModels()).toEqual(['org/model', 'other']);
  });

  it('knows at once what somebody has found', async () => {
    const watching = watch({
      tiers: [{ name: 'fast', depth: 0, load: NO_LOAD, workers: [worker()] }],
    });
    await watching.refresh();
    const waiting = { ...NO_LOAD.waiting, standard: { jobs: 3, tokens: 90 } };
    watching.learn('fast', { ...NO_LOAD, waiting, isAlerting: true });
    expect(watching.statuses()[0]).toMatchObject({ depth: 3, workers: [{ id: 'w' }] });
    expect(watching.snapshots()[0]).toMatchObject({ slots: 2, load: { isAlerting: true } });
    expect(watching.snapshots()[1]).toMatchObject({ load: { isAlerting: false } });
  });

  it('is freshened when it is too old, once for all who ask at the same time', async () => {
    const known = { tiers: [], looks: 0 };
    const watching = watch(known);
    await watching.refresh();
    expect(await watching.freshen(60_000)).toBe(false);
    const before = known.looks;
    expect(await Promise.all([watching.freshen(-1), watching.freshen(-1)])).toEqual([true, true]);
    expect(known.looks - before).toBe(DEFAULT_POLICY.tiers.length);
  });

  it('is not freshened where Redis does not answer', async () => {
    expect(await watch({ tiers: null }).freshen(0)).toBe(false);
  });

  it('stays as it was while Redis does not answer', async () => {
    const known: { tiers: TierStatus[] | null } = {
      tiers: [
        { name: 'fast', depth: 7, load: NO_LOAD, workers: [worker({ max_model_len: 1_000 })] },
      ],
    };
    const watching = watch(known);
    await watching.refresh();
    known.tiers = null;
    await expect(watching.refresh()).rejects.toThrow('does not answer');
    expect(watching.statuses()[0]?.depth).toBe(7);
    expect(watching.policy().tiers[0]?.maxModelLen).toBe(1_000);
  });
});
