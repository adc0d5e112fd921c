/** Plain statistics of samples. */
export interface Percentiles {
  readonly n: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** By nearest rank, so that each is a value that was measured. Null without samples. */
export function percentilesOf(values: readonly number[]): Percentiles | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return {
    n: sorted.length,
    p50: rank(0.5),
    p95: rank(0.95),
    p99: rank(0.99),
    max: sorted.at(-1) ?? 0,
  };
}

export function countBy<Item>(
  items: readonly Item[],
  nameOf: (item: Item) => string,
): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const item of items) counts[nameOf(item)] = (counts[nameOf(item)] ?? 0) + 1;
  return counts;
}

/** Null where there is nothing to take a share of. */
export function shareOf(part: number, whole: number): number | null {
  return whole === 0 ? null : part / whole;
}

/** Waits are worth an estimate from there on: nobody plans by less. */
const ESTIMATE_SLACK_MS = 300;
const ESTIMATE_SHARE = 0.3;

/** Whether an estimate was right: within 30 % of the real wait, or within 300 ms of it. */
export function isRight({ estimatedMs, realMs }: { estimatedMs: number; realMs: number }): boolean {
  const error = Math.abs(estimatedMs - realMs);
  return error <= Math.max(ESTIMATE_SLACK_MS, ESTIMATE_SHARE * realMs);
}
