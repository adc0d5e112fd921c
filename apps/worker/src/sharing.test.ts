import { setTimeout as sleep } from 'node:timers/promises';
import { NO_LOAD } from '@qarr/router-core';
import type { ClassLoad, TierLoad, WorkerStatus } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createSharing } from './sharing.ts';

const PATIENCE = { timeout: 10_000, interval: 1 };
const SLOTS = 10;
const HERE: WorkerStatus = {
  id: 'fast-1',
  host: 'host',
  pid: 1,
  slots: SLOTS,
  running: 0,
  breaker: 'closed',
  upstream: 'http://127.0.0.1:8000',
  model: 'served',
  max_model_len: null,
  service_ms: null,
};

function createFakeConsumer() {
  let isPaused = true;
  let concurrency = 1;
  return {
    get pulls() {
      return isPaused ? 0 : concurrency;
    },
    pause: async () => void (isPaused = true),
    resume: async () => void (isPaused = false),
    setConcurrency: async (next: number) => void (concurrency = next),
  };
}

/** Of a tier in which so many jobs wait or run. */
function loadOf({
  interactive = 0,
  batch = 0,
  batchRunning = 0,
  isAlerting = false,
}: Partial<Record<'interactive' | 'batch' | 'batchRunning', number>> & {
  isAlerting?: boolean;
}): TierLoad {
  const { waiting, running } = NO_LOAD;
  return {
    ...NO_LOAD,
    waiting: { ...waiting, interactive: countOf(interactive), batch: countOf(batch) },
    running: { ...running, batch: countOf(batchRunning) },
    isAlerting,
  };
}

function countOf(jobs: number): ClassLoad {
  return { jobs, tokens: jobs };
}

/** It looks at the load again and again, until `freeze`. */
function start(
  first: TierLoad,
  { workers = async () => [HERE] }: { workers?: () => Promise<WorkerStatus[]> } = {},
) {
  const consumers = { foreground: createFakeConsumer(), batch: createFakeConsumer() };
  const now = { load: first, limit: SLOTS, looks: 0 };
  /** How many batches it asked for at each look. */
  const asked: number[] = [];
  const errors: Error[] = [];
  let answer = async () => now.load;
  const sharing = createSharing({
    workerId: HERE.id,
    consumers,
    capacity() {
      const running = sharing.running.foreground + sharing.running.batch;
      return { slots: now.limit, jobsMax: running + Math.max(0, now.limit - running) };
    },
    async load() {
      now.looks += 1;
      asked.push(consumers.batch.pulls);
      return answer();
    },
    workers,
    onFailed(error) {
      throw error;
    },
    onError: (error) => errors.push(error),
    stepMs: 1,
    idleStepMs: 1,
  });
  onTestFinished(() => sharing.stop());
  const pulls = () => ({
    foreground: consumers.foreground.pulls,
    batch: consumers.batch.pulls,
  });
  return {
    sharing,
    now,
    asked,
    errors,
    pulls,
    becomes: (expected: ReturnType<typeof pulls>) =>
      vi.waitFor(() => expect(pulls()).toEqual(expected), PATIENCE),
    fail: () => (answer = () => Promise.reject(new Error('no Redis'))),
    async freeze() {
      answer = () => new Promise(() => {});
      const { looks } = now;
      await vi.waitFor(() => expect(now.looks).toBeGreaterThan(looks), PATIENCE);
    },
  };
}

/** Batches have all that they may have, in use, and nothing is looked at any more. */
async function filled() {
  const all = start(loadOf({ batch: 100 }));
  await all.becomes({ foreground: 2, batch: 8 });
  await all.freeze();
  const { enter } = all.sharing;
  const leaves = Array.from({ length: 8 }, () => enter('batch'));
  return { ...all, enter, leave: () => leaves.pop()?.() };
}

describe('a worker with two queues', () => {
  it('does not ask for batches where there are none', async () => {
    const { now, pulls, sharing } = start(NO_LOAD);
    await sharing.follow();
    await vi.waitFor(() => expect(now.looks).toBeGreaterThan(5), PATIENCE);
    expect(pulls()).toEqual({ foreground: SLOTS, batch: 0 });
  });

  it('asks where none waits but one runs, for its worker may be dead', async () => {
    const { becomes, now } = start(loadOf({ batch: 1 }));
    await becomes({ foreground: SLOTS - 1, batch: 1 });
    now.load = loadOf({ batchRunning: 1 });
    await sleep(10);
    await becomes({ foreground: SLOTS - 1, batch: 1 });
    now.load = NO_LOAD;
    await becomes({ foreground: SLOTS, batch: 0 });
  });

  it('asks for none while the queue alerts, and for one while foreground waits', async () => {
    const { becomes, now, pulls, sharing } = start(loadOf({ batch: 100 }));
    await becomes({ foreground: 2, batch: 8 });
    now.load = loadOf({ batch: 100, interactive: 5 });
    await vi.waitFor(() => {
      while (sharing.running.foreground < pulls().foreground) sharing.enter('foreground');
      expect(sharing.running.foreground).toBe(SLOTS - 1);
    }, PATIENCE);
    expect(pulls()).toEqual({ foreground: SLOTS - 1, batch: 1 });
    now.load = loadOf({ batch: 100, interactive: 5, isAlerting: true });
    await becomes({ foreground: SLOTS, batch: 0 });
  });

  it('gives each slot that comes free to foreground once that has found none', async () => {
    const { enter, leave, pulls, sharing } = await filled();
    enter('foreground');
    await sleep(0);
    expect(pulls()).toEqual({ foreground: 2, batch: 8 });
    enter('foreground');
    for (let running = 7; running >= 0; running -= 1) {
      leave();
      await sleep(0);
      expect(pulls().foreground).toBe(SLOTS - Math.max(running, pulls().batch));
      expect(pulls().batch).toBeLessThanOrEqual(running + 1);
      if (pulls().foreground > sharing.running.foreground) enter('foreground');
    }
    await sleep(0);
    // Among workers that all live it is the first: it keeps the floor.
    expect(pulls()).toEqual({ foreground: SLOTS - 1, batch: 1 });
  });

  it('remembers for a while what foreground has used', async () => {
    const { asked, becomes, now, sharing } = start(NO_LOAD);
    const leaves = Array.from({ length: 5 }, () => sharing.enter('foreground'));
    for (const leave of leaves) leave();
    now.load = loadOf({ batch: 100 });
    await becomes({ foreground: 2, batch: 8 });
    // Without that it would be 4 by then.
    expect(asked).toContain(3);
  });

  it('stays as it is while it cannot look', async () => {
    const { becomes, errors, fail, pulls } = start(loadOf({ batch: 100 }));
    await becomes({ foreground: 2, batch: 8 });
    fail();
    await vi.waitFor(() => expect(errors.length).toBeGreaterThan(2), PATIENCE);
    expect(pulls()).toEqual({ foreground: 2, batch: 8 });
  });

  it('looks no more when it was stopped', async () => {
    const { now, sharing } = start(NO_LOAD);
    sharing.stop();
    const { looks } = now;
    await sleep(10);
    expect(now.looks).toBe(looks);
  });

  it('never has more than there may be, whatever comes and goes', async () => {
    const acts = fc.array(
      fc.oneof(
        fc.constantFrom('foreground', 'batch', 'foreground ends', 'batch ends', 'look'),
        fc.record({ limit: fc.nat(20) }),
        fc.record({ load: fc.record({ interactive: fc.nat(3), batch: fc.nat(20) }) }),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(acts, async (all) => {
        const { now, pulls, sharing } = start(loadOf({ batch: 100 }));
        const leaves = { foreground: [] as (() => void)[], batch: [] as (() => void)[] };
        for (const act of all) {
          if (act === 'foreground' || act === 'batch') {
            if (pulls()[act] > sharing.running[act]) leaves[act].push(sharing.enter(act));
          } else if (act === 'foreground ends') leaves.foreground.pop()?.();
          else if (act === 'batch ends') leaves.batch.pop()?.();
          else if (act === 'look') await sleep(1);
          else if ('limit' in act) now.limit = act.limit;
          else now.load = loadOf(act.load);
          await sharing.follow();
          const { running } = sharing;
          const most = (queue: 'foreground' | 'batch') => Math.max(pulls()[queue], running[queue]);
          const runningNow = running.foreground + running.batch;
          const jobsMax = Math.max(now.limit, runningNow);
          expect(most('foreground') + most('batch')).toBeLessThanOrEqual(jobsMax);
        }
        sharing.stop();
      }),
      { numRuns: 100 },
    );
  });
});
