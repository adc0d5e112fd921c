/**
 * How long finished lines may wait for others, so that a batch never has more than some two thousand
 * segments, however slow it is: whoever opens it, or reads its results, reads the list of them.
 */

/** The first lines of a batch are seen soon, and one that takes a day has not a segment for each. */
const WAIT_MS_MIN = 500;
const WAIT_SHARE = 0.01;
/** A batch with more segments makes them less often: so many more, and it waits twice as long. */
const SEGMENTS_FREE = 1_000;
const SEGMENTS_DOUBLING = 50;

/** @param ageMs of the batch */
export function commitWaitMs({
  ageMs,
  segments,
  waitMsMax,
}: {
  ageMs: number;
  segments: number;
  waitMsMax: number;
}): number {
  const waitMs = Math.min(waitMsMax, Math.max(WAIT_MS_MIN, ageMs * WAIT_SHARE));
  return waitMs * 2 ** (Math.max(0, segments - SEGMENTS_FREE) / SEGMENTS_DOUBLING);
}
