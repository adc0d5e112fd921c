/** Numbers without end, in little room. */

const FIRST_ROOM = 1_024;

export interface Samples {
  add(value: number): void;
  take(): Float64Array;
}

export function createSamples(): Samples {
  let values = new Float64Array(FIRST_ROOM);
  let count = 0;
  return {
    add(value) {
      if (count === values.length) {
        const more = new Float64Array(count * 2);
        more.set(values);
        values = more;
      }
      values[count] = value;
      count += 1;
    },
    take: () => values.slice(0, count),
  };
}
