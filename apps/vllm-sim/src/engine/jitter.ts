/**
 * Factors on the time of a step: lognormal with mean 1, so that noise does not make an engine
 * slower. The same seed gives the same factors.
 *
 * @param options.sigma standard deviation of the logarithm; 0 gives always 1
 */
export function createJitter(options: { seed: number; sigma: number }): () => number {
  const random = createRandom(options.seed);
  const { sigma } = options;
  if (sigma === 0) return () => 1;
  return () => Math.exp(sigma * normal(random) - (sigma * sigma) / 2);
}

/** Box-Muller. `1 - random()` is never 0, so the logarithm is finite. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Mulberry32 (Tommy Ettinger, public domain): numbers in [0, 1) from a 32-bit state. */
function createRandom(seed: number): () => number {
  let state = (seed ^ (seed / 2 ** 32)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
