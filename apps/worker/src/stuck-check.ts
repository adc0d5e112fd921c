/** Finds out that a worker is of no use: its supervisor shall start another. */

/**
 * At so many heartbeats in a row, half a minute, jobs wait, a slot is free, and nothing has come
 * since the last one: this process is of no use. Beats are counted, not time, because a pause of
 * the process or of Redis is not its fault.
 */
const STUCK_AFTER_BEATS = 30;

/** Returns a function for each heartbeat, which is true when it has seen enough of nothing. */
export function createStuckCheck({
  isFree,
  lastDeliveryMs,
  waiting,
}: {
  /** It has room, and wants to pull. */
  isFree: () => boolean;
  lastDeliveryMs: () => number;
  /** How many entries could be pulled. */
  waiting: () => Promise<number>;
}): () => Promise<boolean> {
  let beats = 0;
  let seenDeliveryMs = lastDeliveryMs();
  return async () => {
    const isStarved = isFree() && lastDeliveryMs() === seenDeliveryMs && (await waiting()) > 0;
    seenDeliveryMs = lastDeliveryMs();
    beats = isStarved ? beats + 1 : 0;
    return beats >= STUCK_AFTER_BEATS;
  };
}
