/** Counters of all processes together, as their metrics pages say. */
export type Counters = ReadonlyMap<string, number>;

/** Name and labels, as they stand on the page, to the sum over the processes. */
export async function readCounters(opsUrls: readonly string[]): Promise<Counters> {
  const pages = await Promise.all(
    opsUrls.map(async (url) => {
      const response = await fetch(`${url}/metrics`).catch(() => null);
      return (await response?.text().catch(() => '')) ?? '';
    }),
  );
  return sumCounters(pages);
}

export function sumCounters(pages: readonly string[]): Counters {
  const sums = new Map<string, number>();
  for (const line of pages.join('\n').split('\n')) {
    const [, series, value] =
      /^(qarr_\w+_(?:total|count|bucket)(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (series !== undefined) sums.set(series, (sums.get(series) ?? 0) + Number(value));
  }
  return sums;
}

/** What has been counted since: `{from="fast",to="precise"}` to how often; zeros are left out. */
export function countedSince(
  name: string,
  { before, after }: { before: Counters; after: Counters },
): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const [series, value] of after) {
    const [own, labels = ''] = series.split(/(?=\{)/);
    const more = value - (before.get(series) ?? 0);
    if (own === name && more > 0) counted[labels] = more;
  }
  return counted;
}

/** How many refusals the API has timed since, and how many of them took no longer than 10 ms. */
export function refusalsTimedSince({ before, after }: { before: Counters; after: Counters }): {
  readonly n: number;
  readonly within: number;
} {
  const since = (series: string) => (after.get(series) ?? 0) - (before.get(series) ?? 0);
  return {
    n: since('qarr_refusal_seconds_count'),
    within: since('qarr_refusal_seconds_bucket{le="0.01"}'),
  };
}
