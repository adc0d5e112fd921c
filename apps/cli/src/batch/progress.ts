/** How far a batch is, in words and as a bar. Pure: whoever calls says what time it is. */
import type { BatchStatus } from '@qarr/client';
import { printable } from '../tiers/printable.ts';

/** Long enough to be steady while whole pages come at once. */
const RATE_WINDOW_MS = 60_000;
/** So that the window holds few samples, however often it is looked. */
const SAMPLE_EVERY_MS = 1_000;
const BAR_CHARS = 24;

export interface Progress {
  /** `fetching`: it is over, and not all of its outcomes are here. */
  readonly status: BatchStatus | 'fetching';
  /** Null before the file has been read. */
  readonly total: number | null;
  readonly completed: number;
  readonly failed: number;
  /** Outcomes by tier; those that no tier ever had are not among them. */
  readonly tiers: Readonly<Record<string, number>>;
  /** Per second; null before anybody can tell. */
  readonly rate: number | null;
  readonly leftMs: number | null;
}

export interface RateMeter {
  /** Per second, of the last minute; null while there is nothing to compare with. */
  measure(done: number, nowMs: number): number | null;
}

export function createRateMeter(): RateMeter {
  const samples: { atMs: number; done: number }[] = [];
  return {
    measure(done, nowMs) {
      const last = samples.at(-1);
      if (last === undefined || nowMs - last.atMs >= SAMPLE_EVERY_MS) {
        samples.push({ atMs: nowMs, done });
      }
      // One that is older than the window stays, as its beginning.
      while ((samples[1]?.atMs ?? Infinity) <= nowMs - RATE_WINDOW_MS) samples.shift();
      const first = samples[0];
      if (first === undefined || nowMs - first.atMs < SAMPLE_EVERY_MS) return null;
      return ((done - first.done) * 1_000) / (nowMs - first.atMs);
    },
  };
}

/** Null where nothing moves. */
export function timeLeftMs({
  total,
  done,
  rate,
}: {
  total: number | null;
  done: number;
  rate: number | null;
}): number | null {
  if (total === null || rate === null || rate <= 0) return null;
  return (Math.max(0, total - done) / rate) * 1_000;
}

/** For a line of its own, where lines cannot be rewritten. */
export function progressText(progress: Progress): string {
  return [progress.status, ...paceOf(progress), ...outcomesOf(progress)].join(', ');
}

/** For a terminal: how far it is, and below that what has become of the lines. */
export function progressBar(progress: Progress): string {
  const { total, status } = progress;
  const filled =
    total === null || total === 0 ? 0 : Math.floor((doneOf(progress) / total) * BAR_CHARS);
  const bar = `${'█'.repeat(filled)}${'░'.repeat(BAR_CHARS - filled)}`;
  const pace = [bar, ...paceOf(progress), ...(status === 'in_progress' ? [] : [status])];
  return `${pace.join('  ')}\n${outcomesOf(progress).join('  ')}`.trimEnd();
}

function paceOf(progress: Progress): string[] {
  const { total, rate, leftMs } = progress;
  if (total === null) return [];
  const done = doneOf(progress);
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
  return [
    `${grouped(done)}/${grouped(total)} (${percent}%)`,
    ...(rate === null ? [] : [`${rateText(rate)}/s`]),
    ...(leftMs === null ? [] : [`${durationText(leftMs)} left`]),
  ];
}

function outcomesOf({ total, failed, tiers }: Progress): string[] {
  if (total === null) return [];
  const tierNames = Object.keys(tiers).toSorted();
  return [
    `${grouped(failed)} failed`,
    ...tierNames.map((name) => `${printable(name)} ${grouped(tiers[name] ?? 0)}`),
  ];
}

export function doneOf({ completed, failed }: Pick<Progress, 'completed' | 'failed'>): number {
  return completed + failed;
}

export function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}

function rateText(rate: number): string {
  return rate >= 10 ? grouped(Math.round(rate)) : rate.toFixed(1);
}

export function durationText(ms: number): string {
  const seconds = Math.ceil(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (minutes === 0) return `${seconds}s`;
  return hours === 0
    ? `${minutes}m${twoDigits(seconds % 60)}s`
    : `${hours}h${twoDigits(minutes % 60)}m`;
}

function twoDigits(part: number): string {
  return String(part).padStart(2, '0');
}
