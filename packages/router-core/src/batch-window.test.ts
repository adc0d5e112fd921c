import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { batchWaitingMax, nextWindow, roomFor } from './batch-window.ts';
import type { WindowSituation } from './batch-window.ts';
import { NO_LOAD, depthOf } from './tier-load.ts';
import type { ClassLoad } from './tier-load.ts';

const few = fc.oneof(fc.constant(0), fc.nat(3_000));
const situations = fc
  .record({
    slots: fc.nat(300),
    liveWorkers: fc.nat(3),
    breaker: fc.constantFrom('closed' as const, 'half_open' as const, 'open' as const),
    isAlerting: fc.boolean(),
    interactive: few,
    standard: few,
    batchWaiting: few,
    running: few,
    linesInTier: few,
    wasLimiting: fc.boolean(),
    windowMax: fc.integer({ min: 1, max: 10_000 }),
  })
  .map(situation);
const windows = fc
  .array(situations, { maxLength: 30 })
  .map((all) => all.reduce((before, now) => nextWindow(before, now), 0));

function situation({
  slots = 32,
  liveWorkers = 1,
  breaker = 'closed',
  isAlerting = false,
  interactive = 0,
  standard = 0,
  batchWaiting = 0,
  running = 0,
  linesInTier = batchWaiting + running,
  wasLimiting = true,
  windowMax = 1_000,
}: Partial<Omit<WindowSituation, 'tier'> & WindowSituation['tier']> & {
  isAlerting?: boolean;
  interactive?: number;
  standard?: number;
  batchWaiting?: number;
  running?: number;
}): WindowSituation {
  const waiting = {
    interactive: jobs(interactive),
    standard: jobs(standard),
    batch: jobs(batchWaiting),
  };
  const load = { ...NO_LOAD, waiting, isAlerting };
  return {
    tier: {
      slots,
      liveWorkers,
      breaker,
      load: { ...load, running: { ...NO_LOAD.running, batch: jobs(running) } },
    },
    linesInTier,
    wasLimiting,
    windowMax,
  };
}

function jobs(count: number): ClassLoad {
  return { jobs: count, tokens: count };
}

function settle(from: number, now: WindowSituation): { window: number; steps: number } {
  let window = from;
  for (let steps = 0; ; steps += 1) {
    const next = nextWindow(window, now);
    if (next === window) return { window, steps };
    window = next;
  }
}

describe('the window of a tier', () => {
  it('is closed while the tier alerts, its breaker is open or no worker is there', () => {
    fc.assert(
      fc.property(windows, situations, (before, now) => {
        const { tier } = now;
        const load = { ...tier.load, isAlerting: true };
        expect(nextWindow(before, { ...now, tier: { ...tier, load } })).toBe(0);
        expect(nextWindow(before, { ...now, tier: { ...tier, breaker: 'open' } })).toBe(0);
        expect(nextWindow(before, { ...now, tier: { ...tier, liveWorkers: 0 } })).toBe(0);
      }),
    );
  });

  it('is never larger than its limit, and open wherever the tier takes lines', () => {
    fc.assert(
      fc.property(windows, situations, (before, now) => {
        const window = nextWindow(before, now);
        expect(window).toBeLessThanOrEqual(now.windowMax);
        const { load, breaker, liveWorkers } = now.tier;
        const isClosed = load.isAlerting || breaker === 'open' || liveWorkers === 0;
        expect(window > 0).toBe(!isClosed);
      }),
    );
  });

  it('halves down to one line while foreground waits, and grows again after that', () => {
    const waitedFor = situation({ interactive: 1, running: 32, batchWaiting: 400 });
    expect(nextWindow(1_000, waitedFor)).toBe(500);
    expect(nextWindow(1_000, situation({ standard: 1, slots: 100 }))).toBe(500);
    expect(settle(1_000, waitedFor)).toEqual({ window: 1, steps: 9 });
    expect(settle(1, situation({}))).toEqual({ window: 1_000, steps: 10 });
    expect(settle(0, situation({ windowMax: 100 })).window).toBe(100);
  });

  it('grows only where more lines would be fed, have run out, and find slots', () => {
    expect(nextWindow(8, situation({}))).toBe(16);
    expect(nextWindow(8, situation({ wasLimiting: false }))).toBe(8);
    expect(nextWindow(8, situation({ batchWaiting: 3 }))).toBe(8);
    expect(nextWindow(8, situation({ running: 32 }))).toBe(8);
    // The jobs of others do not make it look used.
    expect(nextWindow(8, situation({ batchWaiting: 500, linesInTier: 2 }))).toBe(16);
  });

  it('has room for no more lines than its limit allows, whatever others have submitted', () => {
    fc.assert(
      fc.property(windows, situations, fc.nat(5_000), (window, now, depthMax) => {
        const room = roomFor(window, { ...now, depthMax });
        const { load } = now.tier;
        expect(room).toBeLessThanOrEqual(window);
        expect(room).toBeLessThanOrEqual(Math.max(0, depthMax - depthOf(load)));
        const most = batchWaitingMax(window, now);
        if (room > 0) expect(load.waiting.batch.jobs + room).toBeLessThanOrEqual(most);
        if (window === 0) expect(most).toBe(0);
      }),
    );
    const besideOthers = situation({ batchWaiting: 700, linesInTier: 10 });
    expect(roomFor(20, { ...besideOthers, depthMax: 10_000 })).toBe(10);
    expect(batchWaitingMax(20, besideOthers)).toBe(710);
    // Lines that run are not taken for lines that wait: with others there is still room for one.
    const oneRuns = situation({ batchWaiting: 500, running: 32, linesInTier: 32 });
    expect(roomFor(1, { ...oneRuns, depthMax: 10_000 })).toBe(1);
  });
});
