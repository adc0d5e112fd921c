/** Figures as words of a table. */
import type { Percentiles } from '../figures/statistics.ts';

export function percent(share: number | null): string {
  return share === null || !Number.isFinite(share) ? '–' : `${(share * 100).toFixed(1)} %`;
}

/** `12 / 340 / 1200`, in whole milliseconds. */
export function spread(values: Percentiles | null): string {
  if (values === null) return '–';
  return [values.p50, values.p95, values.p99].map((value) => value.toFixed(0)).join(' / ');
}

export function decimal(value: number): string {
  return value.toFixed(1);
}

export function seconds(ms: number | null): string {
  return ms === null ? 'never' : `${(ms / 1_000).toFixed(1)} s`;
}

export function listOf(counts: Readonly<Record<string, number>>): string {
  const list = Object.entries(counts).map(([name, count]) => `${name} ${count}`.trim());
  return list.length === 0 ? 'none' : list.join(', ');
}
