import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { EngineMetrics } from './engine-metrics.ts';
import { createLoad } from './load.ts';
import type { LoadListener } from './load.ts';
import type { Scrape } from './probe.ts';

const PATIENCE = { timeout: 10_000, interval: 1 };
const CALM: EngineMetrics = {
  running: 0,
  waiting: 0,
  kvUsage: 0,
  preemptions: 0,
  tokens: 0,
  kvTokens: 4_000,
  startedAtS: 100,
};

/** Watches an engine whose pages are these, one after the other, and then the last for ever. */
async function watched(
  pages: readonly [Scrape | Partial<EngineMetrics>, ...(Scrape | Partial<EngineMetrics>)[]],
  { ceiling = 100, running = 0 } = {},
) {
  const told: string[] = [];
  let scrapes = 0;
  const note = (event: string) => () => void told.push(event);
  const listener: LoadListener = {
    onLimit: note('limit'),
    onProgress: note('progress'),
    onStall: note('stall'),
    onRestart: note('restart'),
    onUnreachable: (cause) => void told.push(cause),
  };
  const load = createLoad({
    async scrape() {
      const page = pages[Math.min(scrapes, pages.length - 1)] ?? {};
      scrapes += 1;
      return 'kind' in page ? page : { kind: 'scraped', metrics: { ...CALM, ...page } };
    },
    ceiling,
    isWatched: () => true,
    running: () => ({ now: running, peak: running }),
    listener,
    everyMs: 1,
  });
  const stopping = new AbortController();
  await load.begin({ maxModelLen: 1_000, signal: stopping.signal });
  const { limit } = load;
  const watching = load.watch(stopping.signal);
  onTestFinished(async () => {
    stopping.abort();
    await watching;
  });
  const after = (count: number) =>
    vi.waitFor(() => expect(scrapes).toBeGreaterThan(count), PATIENCE);
  return { load, told, firstLimit: limit, after, scrapes: () => scrapes };
}

const tellings = (told: readonly string[], event: string) =>
  told.filter((each) => each === event).length;

describe('the load of an engine', () => {
  it('sets the first limit by the size of its cache', async () => {
    expect((await watched([{}])).firstLimit).toBe(4);
    expect((await watched([{ kvTokens: null }])).firstLimit).toBe(100);
  });

  it('raises the limit where all is busy and there is room, and lowers it under pressure', async () => {
    const growing = await watched([{}], { running: 4 });
    await vi.waitFor(() => expect(growing.load.limit).toBeGreaterThan(4), PATIENCE);
    expect(growing.told).toContain('limit');
    const shrinking = await watched([{}, { kvUsage: 0.95 }], { running: 1 });
    await vi.waitFor(() => expect(shrinking.load.limit).toBe(1), PATIENCE);
  });

  it('is no other where the engine has no page', async () => {
    const { load, after, firstLimit } = await watched([{ kind: 'none' }], { ceiling: 7 });
    await after(2);
    expect([firstLimit, load.limit, load.metrics]).toEqual([7, 7, null]);
  });

  it('is unknown, and not zero, where a scrape fails', async () => {
    const pages = [{ kvUsage: 0.5 }, { kind: 'unknown' }] as const;
    const { load, after, told } = await watched(pages, { running: 4 });
    expect(load.metrics).toMatchObject({ kvUsage: 0.5 });
    await after(4);
    expect([load.metrics, load.limit, told]).toEqual([null, 4, []]);
  });

  it('says that the tokens move', async () => {
    const { told, after } = await watched([{}, {}, { tokens: 5 }]);
    await after(5);
    expect(told).toEqual(['progress']);
  });

  it('says that nobody listens', async () => {
    const { told, after } = await watched([{}, { kind: 'unreachable', cause: 'ECONNREFUSED' }]);
    await after(2);
    expect(told[0]).toBe('ECONNREFUSED');
  });
});

describe('an engine that refuses', () => {
  it('gets what it has kept, and more again when it has a place, though it has no page', async () => {
    const { load, told } = await watched([{ kind: 'none' }], { ceiling: 7, running: 3 });
    load.refused({ running: 3, retryAfterMs: null });
    expect([load.limit, load.isFull, told]).toEqual([3, false, ['limit']]);
    await vi.waitFor(() => expect(load.limit).toBe(4), PATIENCE);
  });

  it('is full for as long as it says, where it has kept nothing', async () => {
    const { load, told } = await watched([{ kind: 'none' }], { ceiling: 7 });
    load.refused({ running: 0, retryAfterMs: 1_200 });
    expect([load.limit, load.isFull]).toEqual([1, true]);
    await vi.waitFor(() => expect(told).toEqual(['limit', 'limit']), PATIENCE);
    expect(load.isFull).toBe(false);
  });
});

describe('the start of its process', () => {
  it('says whether a page is of a later one', async () => {
    const { load, after } = await watched([{}]);
    await after(1);
    const isNew = (startedAtS: number | null) => load.isNewProcess({ ...CALM, startedAtS });
    expect([99, 100, 101, null].map(isNew)).toEqual([false, false, true, false]);
  });

  it('shows a restart, once', async () => {
    const { told, after } = await watched([{}, {}, { startedAtS: 200 }]);
    await after(6);
    expect(told).toEqual(['restart']);
  });

  it('does not show one where several engines share the address', async () => {
    const pages = [200, 100, 200, 150, 100, 200].map((startedAtS, index) => ({
      startedAtS,
      // Their counts differ, which is neither progress nor pressure.
      preemptions: index % 2,
      tokens: 1_000 * (index % 2),
    }));
    const [first = {}, ...others] = pages;
    const { told, after, load } = await watched([first, ...others], { ceiling: 3 });
    await after(pages.length);
    expect(tellings(told, 'restart') + tellings(told, 'progress')).toBe(0);
    expect(load.limit).toBe(3);
  });

  it('may be unknown', async () => {
    const { told, after } = await watched([{ startedAtS: null }, {}, { startedAtS: null }, {}]);
    await after(6);
    expect(told).toEqual([]);
  });
});
