/** A Prometheus histogram without labels of its own. */
export type Histogram = {
  observe(value: number): void;
  read(): { buckets: readonly Bucket[]; sum: number; count: number };
};

type Bucket = { readonly le: number; readonly count: number };

/** @param bounds upper bounds in ascending order, without +Inf */
export function createHistogram(bounds: readonly number[]): Histogram {
  const counts = bounds.map(() => 0);
  let sum = 0;
  let count = 0;
  return {
    observe(value) {
      const index = bounds.findIndex((bound) => value <= bound);
      if (index !== -1) counts[index] = (counts[index] ?? 0) + 1;
      sum += value;
      count += 1;
    },
    read() {
      let cumulative = 0;
      const buckets = bounds.map((le, index) => {
        cumulative += counts[index] ?? 0;
        return { le, count: cumulative };
      });
      return { buckets, sum, count };
    },
  };
}
