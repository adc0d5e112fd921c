/**
 * Keeps the process as small as what it holds. With the memory of a large machine before it, V8 lets
 * garbage lie: of ten thousand streams that are opened at once, more than all of them hold.
 *
 * The flags are read by V8 each time, unlike its maxima, which count only when it starts.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * Both halves of the space in which new objects are made. With half of it a request costs half as much
 * again: what fifty requests hold is copied too often. With twice as much, V8's own bound, ten thousand
 * idle streams would not be sure of their 300 MB.
 */
const YOUNG_BYTES = 16_777_216;

/** Call it before anything is loaded: sources and what becomes of them are garbage, too. */
export function boundHeap(): void {
  // The other objects are collected when they are so much more than the last time.
  setFlagsFromString('--heap-growing-percent=20');
  setYoungGrowth(1);
}

/** Call it when everything is loaded: lets the space grow that requests need, and no further. */
export function growYoungGeneration(): void {
  setYoungGrowth(2);
  const observer = new PerformanceObserver(() => {
    if (youngBytes() < YOUNG_BYTES) return;
    setYoungGrowth(1);
    observer.disconnect();
  });
  observer.observe({ entryTypes: ['gc'] });
}

function setYoungGrowth(factor: 1 | 2): void {
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

function youngBytes(): number {
  const spaces = getHeapSpaceStatistics();
  return spaces.find((space) => space.space_name === 'new_space')?.space_size ?? Infinity;
}
