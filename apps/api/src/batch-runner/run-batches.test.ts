import { once } from 'node:events';
import type { BatchState } from '@qarr/router-core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { StaleRun } from './batch-run.ts';
import type { BatchRun } from './batch-run.ts';
import { runBatches } from './run-batches.ts';

interface Listed {
  readonly id: string;
  readonly owner?: string;
  readonly state?: BatchState;
  readonly expiresAt?: number;
}

/** Runs these, a round each millisecond. A run goes on until it is stopped, or `run` says that it is over. */
function runnerOf(
  batches: readonly Listed[],
  {
    activeMax,
    page = 100,
    run = untilStopped,
  }: { activeMax: number; page?: number; run?: (of: BatchRun) => Promise<void> },
) {
  const all = batches.toSorted((one, other) => expiryOf(one) - expiryOf(other));
  const active = new Set<string>();
  const ran = new Set<string>();
  let activeMost = 0;
  const stopping = new AbortController();
  const term = { epoch: 1, now: () => 1_000, signal: stopping.signal };
  const log = { warn() {}, info() {} };
  const deps = {
    activeMax,
    log: { child: () => log },
    store: {
      batchRuns: {
        unfinished: async (limit: number, from = 0) =>
          all.slice(from, from + limit).map(({ id }) => id),
        urgencies: async (ids: readonly string[]) =>
          ids.map((id) => {
            const found = all.find((batch) => batch.id === id);
            const { owner = id, state = 'in_progress' } = found ?? {};
            return found === undefined ? null : { owner, state, expiresAt: expiryOf(found) };
          }),
      },
    },
  };
  const over = runBatches(term as never, deps as never, {
    roundMs: 1,
    page,
    async run(of) {
      active.add(of.batchId);
      ran.add(of.batchId);
      activeMost = Math.max(activeMost, active.size);
      await run(of).finally(() => active.delete(of.batchId));
      const at = all.findIndex(({ id }) => id === of.batchId);
      if (!of.signal.aborted) all.splice(at, 1);
    },
  });
  onTestFinished(async () => {
    stopping.abort();
    await over;
    expect(activeMost).toBeLessThanOrEqual(activeMax);
  });
  return { active, ran };
}

function expiryOf({ expiresAt = 5_000 }: Listed): number {
  return expiresAt;
}

async function untilStopped({ signal }: BatchRun): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

it('gives the place of batches that have nothing to do to those that wait', async () => {
  const stuck = ['stuck-1', 'stuck-2'].map((id) => ({ id, expiresAt: 2_000 }));
  const { active, ran } = runnerOf([...stuck, { id: 'going' }], {
    activeMax: 2,
    async run(of) {
      if (of.batchId.startsWith('stuck')) of.asksIdle(() => true);
      await untilStopped(of);
    },
  });
  await until(() => active.has('going'));
  expect([...ran]).toEqual(['stuck-1', 'stuck-2', 'going']);
  // The other place needs not be empty.
  await until(() => active.size === 2);
});

it('takes a batch that fails again and again for one that has nothing to do', async () => {
  const { active } = runnerOf([{ id: 'broken', expiresAt: 2_000 }, { id: 'going' }], {
    activeMax: 1,
    async run(of) {
      if (of.batchId === 'broken') throw new StaleRun();
      await untilStopped(of);
    },
  });
  await until(() => active.has('going'));
});

it('finds those that are urgent behind any number of others', async () => {
  const many = Array.from({ length: 25 }, (_, at) => ({ id: `one-${at}`, owner: 'one' }));
  const last = { expiresAt: 9_000, owner: 'two' };
  const { active } = runnerOf(
    [...many, { id: 'cancelled', state: 'cancelling', ...last }, { id: 'due', expiresAt: 900 }],
    { activeMax: 2, page: 10 },
  );
  await until(() => active.has('cancelled') && active.has('due'));
});

it('ends all of very many batches, each once', async () => {
  const many = Array.from({ length: 60 }, (_, at) => ({
    id: `batch-${at}`,
    expiresAt: 2_000 + at,
  }));
  const runs: string[] = [];
  runnerOf(many, {
    activeMax: 7,
    page: 10,
    async run({ batchId }) {
      runs.push(batchId);
    },
  });
  await until(() => new Set(runs).size === 60);
  expect(runs).toHaveLength(60);
});

async function until(condition: () => boolean): Promise<void> {
  await vi.waitUntil(condition, { interval: 1, timeout: 10_000 });
}
