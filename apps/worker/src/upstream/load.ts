/** The load of one engine: scraped once a second, it sets how many jobs the engine gets. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EngineMetrics } from './engine-metrics.ts';
import { adapt, adaptBlindly, afterRefusal, initialPressure } from './pressure.ts';
import type { Scrape } from './probe.ts';
import { follow, isStalled } from './stall.ts';
import type { Progress } from './stall.ts';

const SCRAPE_EVERY_MS = 1_000;
/** An engine without such a page shall not have its log filled with refusals. */
const NO_PAGE_SCRAPES_EVERY = 30;
/** An engine that refuses though nothing of ours runs there, and does not say for how long. */
const FULL_MS = 1_000;

export interface Load {
  readonly limit: number;
  /** Others have filled it: it takes nothing for now. */
  readonly isFull: boolean;
  /** The last page; null while unknown. */
  readonly metrics: EngineMetrics | null;
  /** Forgets what was, for an engine that has just been warmed, and scrapes once. */
  begin(options: { maxModelLen: number | null; signal: AbortSignal }): Promise<void>;
  /** It has refused a job: it has too many. `running` are those of ours that it has kept. */
  refused(options: { running: number; retryAfterMs: number | null }): void;
  /** Whether the page is of a process that has started after all that were seen. */
  isNewProcess(metrics: EngineMetrics): boolean;
  /** Scrapes until the signal is aborted, while the engine is `watched`. */
  watch(signal: AbortSignal): Promise<void>;
}

export interface LoadListener {
  onLimit(): void;
  /** Its tokens have moved: it lives. */
  onProgress(): void;
  onStall(): void;
  onRestart(): void;
  onUnreachable(cause: string): void;
}

export function createLoad({
  scrape,
  ceiling,
  isWatched,
  running,
  listener,
  everyMs = SCRAPE_EVERY_MS,
}: {
  scrape: (signal: AbortSignal) => Promise<Scrape>;
  ceiling: number;
  isWatched: () => boolean;
  /** Jobs of ours that the engine has now, and the most since this was last asked. */
  running: () => { now: number; peak: number };
  listener: LoadListener;
  everyMs?: number;
}): Load {
  let pressure = initialPressure({ ceiling, kvTokens: null, maxModelLen: null });
  let metrics: EngineMetrics | null = null;
  /** Of the process that answered last, and the latest that there ever was. */
  let startedAtS: number | null = null;
  let latestStartS: number | null = null;
  let progress: Progress | null = null;
  let skips = 0;
  let fullUntilMs = 0;
  let emptying: NodeJS.Timeout | undefined;
  /** Of which start of the engine a scrape is. */
  let beginning = 0;

  function see(seen: EngineMetrics): void {
    metrics = seen;
    if (startedAtS !== seen.startedAtS) {
      // Another process, whose counts are not to be compared with those of the one before.
      progress = null;
      pressure = { ...pressure, preemptions: null };
    }
    if (noteStart(seen.startedAtS)) return listener.onRestart();
    const { now, peak } = running();
    const { limit } = pressure;
    pressure = adapt(pressure, { sample: seen, ceiling, running: now, peak });
    if (pressure.limit !== limit) listener.onLimit();

    const nowMs = performance.now();
    const before = progress;
    progress = follow(before, { ...seen, nowMs });
    if (before !== null && progress !== null && progress.tokens > before.tokens) {
      listener.onProgress();
    }
    if (isStalled(progress, nowMs)) {
      // From here on it counts anew: one stall is one doubt.
      progress = null;
      listener.onStall();
    }
  }

  /** For an engine whose load is not known. */
  function seeNothing(): void {
    const { peak } = running();
    const { limit } = pressure;
    pressure = adaptBlindly(pressure, { ceiling, peak });
    if (pressure.limit !== limit) listener.onLimit();
  }

  function isNewProcess({ startedAtS: toldS }: EngineMetrics): boolean {
    return toldS !== null && latestStartS !== null && toldS > latestStartS;
  }

  /**
   * True when the engine has started anew since the last page. A process that is not the latest is
   * no new one: several engines share the address, and take turns.
   */
  function noteStart(toldS: number | null): boolean {
    startedAtS = toldS;
    if (toldS === null || (latestStartS !== null && toldS <= latestStartS)) return false;
    const isFirst = latestStartS === null;
    latestStartS = toldS;
    return !isFirst;
  }

  return {
    get limit() {
      return pressure.limit;
    },
    get metrics() {
      return metrics;
    },

    get isFull() {
      return performance.now() < fullUntilMs;
    },
    isNewProcess,

    refused({ running: kept, retryAfterMs }) {
      pressure = afterRefusal(pressure, { running: kept });
      if (kept === 0) {
        const ms = Math.max(FULL_MS, retryAfterMs ?? 0);
        fullUntilMs = performance.now() + ms;
        clearTimeout(emptying);
        emptying = setTimeout(listener.onLimit, ms + 1);
      }
      listener.onLimit();
    },

    async begin({ maxModelLen, signal }) {
      beginning += 1;
      [metrics, progress, skips] = [null, null, 0];
      const first = await scrape(signal);
      if (first.kind === 'scraped') {
        metrics = first.metrics;
        noteStart(metrics.startedAtS);
      }
      pressure = {
        ...initialPressure({ ceiling, kvTokens: metrics?.kvTokens ?? null, maxModelLen }),
        preemptions: metrics?.preemptions ?? null,
      };
    },

    async watch(signal) {
      while (!signal.aborted) {
        await sleep(everyMs, null, { signal }).catch(() => {});
        skips = Math.max(0, skips - 1);
        if (signal.aborted || !isWatched()) continue;
        if (skips > 0) {
          seeNothing();
          continue;
        }
        const begun = beginning;
        const scraped = await scrape(signal);
        // It may have gone and come back meanwhile.
        if (begun !== beginning || !isWatched()) continue;
        if (scraped.kind === 'scraped') see(scraped.metrics);
        else metrics = null;
        if (scraped.kind === 'none') {
          skips = NO_PAGE_SCRAPES_EVERY;
          seeNothing();
        }
        if (scraped.kind === 'unreachable') listener.onUnreachable(scraped.cause);
      }
      clearTimeout(emptying);
    },
  };
}
