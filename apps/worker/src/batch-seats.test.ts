import { NO_LOAD } from '@qarr/router-core';
import type { ClassLoad, WorkerStatus } from '@qarr/router-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_SEATS, giveWay, keepsFloor, nextSeats, shareOut } from './batch-seats.ts';
import type { BatchSeats, Situation } from './batch-seats.ts';

const slotCounts = fc.integer({ min: 1, max: 300 });
const few = fc.oneof(fc.constant(0), fc.nat(400));
const situations = fc
  .record({
    slots: fc.oneof(fc.constant(0), slotCounts),
    foregroundPeak: few,
    isFull: fc.boolean(),
    isAlerting: fc.boolean(),
    hasFloor: fc.boolean(),
    interactive: few,
    standard: few,
    batchWaiting: few,
    batchRunning: few,
  })
  .map(situation);
const seats = fc.array(situations, { maxLength: 30 }).map((all) => all.reduce(nextSeats, NO_SEATS));

function situation({
  interactive = 0,
  standard = 0,
  batchWaiting = 100_000,
  batchRunning = 0,
  isAlerting = false,
  ...others
}: Partial<Omit<Situation, 'load'>> & {
  interactive?: number;
  standard?: number;
  batchWaiting?: number;
  batchRunning?: number;
  isAlerting?: boolean;
}): Situation {
  return {
    slots: 10,
    foregroundPeak: 0,
    isFull: false,
    hasFloor: false,
    load: {
      waiting: {
        interactive: jobs(interactive),
        standard: jobs(standard),
        batch: jobs(batchWaiting),
      },
      running: { ...NO_LOAD.running, batch: jobs(batchRunning) },
      isAlerting,
    },
    ...others,
  };
}

function jobs(count: number): ClassLoad {
  return { jobs: count, tokens: count };
}

function isWaitedFor({ load: { waiting } }: Situation): boolean {
  return waiting.interactive.jobs + waiting.standard.jobs > 0;
}

/** As many steps as it takes until another changes nothing. */
function settle(from: BatchSeats, now: Situation): { seats: number; steps: number } {
  let before = from;
  for (let steps = 0; ; steps += 1) {
    const next = nextSeats(before, now);
    if (next.seats === before.seats) return { seats: next.seats, steps };
    before = next;
  }
}

describe('seats for batches', () => {
  it('are none while the queue alerts, and where there is no batch or no slot', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        const { waiting, running } = now.load;
        const alerting = { ...now, load: { ...now.load, isAlerting: true } };
        expect(nextSeats(before, alerting).seats).toBe(0);
        const isIdle = waiting.batch.jobs + running.batch.jobs === 0;
        if (isIdle || now.slots === 0) expect(nextSeats(before, now).seats).toBe(0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('never grow beyond the floor while foreground waits', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        fc.pre(isWaitedFor(now));
        const floor = now.hasFloor ? 1 : 0;
        expect(nextSeats(before, now).seats).toBeLessThanOrEqual(Math.max(before.seats, floor));
      }),
      { numRuns: 1_000 },
    );
  });

  it('keep the floor while a batch waits, whatever else does', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        fc.pre(now.slots > 0 && !now.load.isAlerting && now.load.waiting.batch.jobs > 0);
        const next = nextSeats(before, { ...now, hasFloor: true });
        expect(next.seats).toBeGreaterThanOrEqual(1);
        expect(giveWay(next, { ...now, hasFloor: true }).seats).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 1_000 },
    );
  });

  it('fall to the floor at once when foreground waits and finds no slot', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        fc.pre(isWaitedFor(now));
        const { waiting, running } = now.load;
        const isAble = now.slots > 0 && waiting.batch.jobs + running.batch.jobs > 0;
        const floor = isAble && now.hasFloor && !now.load.isAlerting ? 1 : 0;
        expect(nextSeats(before, { ...now, isFull: true }).seats).toBe(floor);
      }),
      { numRuns: 1_000 },
    );
  });

  it('leave what foreground uses and a fifth of the slots, but for the floor', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        fc.pre(now.slots > 1);
        const room = Math.max(0, Math.floor(now.slots * 0.8) - now.foregroundPeak);
        const most = Math.max(room, now.hasFloor ? 1 : 0);
        expect(nextSeats(before, now).seats).toBeLessThanOrEqual(most);
        expect(giveWay(before, now).seats).toBe(Math.min(before.seats, most));
      }),
      { numRuns: 1_000 },
    );
  });

  it('are never more than there are jobs of batches', () => {
    fc.assert(
      fc.property(seats, situations, (before, now) => {
        const { waiting, running } = now.load;
        const count = waiting.batch.jobs + running.batch.jobs;
        expect(nextSeats(before, now).seats).toBeLessThanOrEqual(count);
      }),
      { numRuns: 1_000 },
    );
  });

  it('reach all that batches may have in a few steps, wherever they begin', () => {
    fc.assert(
      fc.property(seats, slotCounts, (before, slots) => {
        const alone = situation({ slots });
        const settled = settle(before, alone);
        expect(settled.seats).toBe(slots === 1 ? 1 : Math.floor(slots * 0.8));
        // Doubling, then sixteenths.
        expect(settled.steps).toBeLessThanOrEqual(Math.ceil(Math.log2(slots)) + 17);
      }),
      { numRuns: 1_000 },
    );
  });

  it('double, up to half of what was given up when foreground had to wait, then add', () => {
    const calm = situation({ slots: 32 });
    const grow = (from: BatchSeats, steps: number) => {
      const seen: number[] = [];
      let now = from;
      for (let step = 0; step < steps; step += 1) {
        now = nextSeats(now, calm);
        seen.push(now.seats);
      }
      return { seen, now };
    };
    const first = grow(NO_SEATS, 6);
    expect(first.seen).toEqual([1, 2, 4, 8, 16, 25]);
    const waitedFor = situation({ slots: 32, standard: 1, isFull: true });
    const given = nextSeats(nextSeats(first.now, waitedFor), waitedFor);
    expect(given).toEqual({ seats: 0, doublesUpTo: 12 });
    expect(grow(given, 7).seen).toEqual([1, 2, 4, 8, 12, 14, 16]);
    expect(nextSeats(given, situation({ batchWaiting: 0 }))).toBe(NO_SEATS);
  });

  it.each([
    ['one that waits while a slot is free for it', { interactive: 1 }],
    ['batches of which none waits', { batchWaiting: 0, batchRunning: 9 }],
  ])('stay as they are for %s', (_name, now) => {
    const before = { seats: 4, doublesUpTo: Infinity };
    expect(nextSeats(before, situation(now))).toEqual(before);
  });

  it.each([
    ['has it while nobody else wants it', {}, 1],
    ['gives it back when foreground waits', { standard: 1, isFull: true }, 0],
    // It is shared out when that has ended.
    ['has it next while foreground runs', { foregroundPeak: 1 }, 1],
    ['keeps it for the whole tier', { interactive: 1, isFull: true, hasFloor: true }, 1],
  ])('where there is a single slot, a batch %s', (_name, now, expected) => {
    expect(nextSeats(NO_SEATS, situation({ slots: 1, ...now })).seats).toBe(expected);
  });
});

describe('the shares of foreground and batch', () => {
  const running = fc.record({ foreground: fc.nat(300), batch: fc.nat(300) });
  const cases = fc
    .record({ running, free: fc.nat(300), seats: fc.nat(300) })
    .map((all) => ({ ...all, jobsMax: all.running.foreground + all.running.batch + all.free }));

  it('are together with what runs never more than there may be', () => {
    fc.assert(
      fc.property(cases, (now) => {
        const { foreground, batch } = shareOut(now);
        expect(Math.min(foreground, batch)).toBeGreaterThanOrEqual(0);
        expect(
          Math.max(foreground, now.running.foreground) + Math.max(batch, now.running.batch),
        ).toBeLessThanOrEqual(now.jobsMax);
      }),
      { numRuns: 1_000 },
    );
  });

  it('leave no slot unused that neither has', () => {
    fc.assert(
      fc.property(cases, (now) => {
        const { foreground, batch } = shareOut(now);
        expect(batch).toBe(Math.min(now.seats, now.jobsMax - now.running.foreground));
        expect(foreground + Math.max(batch, now.running.batch)).toBe(now.jobsMax);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the floor of a tier', () => {
  it.each([
    ['the first that has two slots', [worker('c', 2), worker('a', 1), worker('b', 2)], 'b'],
    ['one that pulls', [worker('a', 2, 'open'), worker('b', 2), worker('c', 2)], 'b'],
    ['the first of those with one slot', [worker('b', 1), worker('a', 1)], 'a'],
    ['nobody where there is one slot in all', [worker('a', 1), worker('b', 0)], null],
    ['nobody where nobody lives', [], null],
  ])('is kept by %s', (_name, workers, expected) => {
    const keepers = ['a', 'b', 'c'].filter((id) => keepsFloor(id, workers));
    expect(keepers).toEqual(expected === null ? [] : [expected]);
  });
});

function worker(id: string, slots: number, breaker: WorkerStatus['breaker'] = 'closed') {
  return {
    id,
    slots,
    breaker,
    host: 'host',
    pid: 1,
    running: 0,
    upstream: 'http://127.0.0.1:8000',
    model: 'served',
    max_model_len: null,
    service_ms: null,
  };
}
