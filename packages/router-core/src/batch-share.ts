/**
 * Whose line is fed next, of several batches that have one for a tier: start-time fair queueing.
 *
 * Each line begins, in a time that only its tier's feeding moves on, where the line of the same batch
 * before it ended, or now, if that is later; the one that begins first is next. So all that have lines
 * share by their weights, whenever each of them came, and nobody saves up what it did not use.
 *
 * A tenant's weight does not depend on how many batches it has: they share it. A batch with half of
 * the time has twice the weight, within bounds: how much time its batches have is said by each tenant
 * itself, and whoever says the least shall not have it all.
 */
const DAY_MS = 24 * 3_600_000;
const WEIGHT_MAX = 4;

export interface ShareState {
  /** When the line began that was fed last. */
  readonly now: number;
  /** By batch: when its last line ends, where that is later. */
  readonly ends: ReadonlyMap<string, number>;
}

export const EVEN_SHARES: ShareState = { now: 0, ends: new Map() };

export interface Sharer {
  readonly id: string;
  readonly owner: string;
  /** Its completion window. */
  readonly windowMs: number;
}

/** @param sharers those that have a line to be fed; at least one */
export function feedNext<Of extends Sharer>(
  { now, ends }: ShareState,
  sharers: readonly [Of, ...Of[]],
): { readonly next: Of; readonly state: ShareState } {
  const beginOf = ({ id }: Of) => ends.get(id) ?? now;
  const next = sharers.reduce((first, other) => (beginOf(other) < beginOf(first) ? other : first));
  const begin = beginOf(next);
  // What has ended says no more than what was never there.
  const later = new Map([...ends].filter(([, end]) => end > begin));
  later.set(next.id, begin + 1 / weightOf(next, sharers));
  return { next, state: { now: begin, ends: later } };
}

export function weightOf({ owner, windowMs }: Sharer, sharers: readonly Sharer[]): number {
  const ofOwner = sharers.filter((other) => other.owner === owner).length;
  const urgency = Math.min(WEIGHT_MAX, Math.max(1 / WEIGHT_MAX, DAY_MS / windowMs));
  return urgency / ofOwner;
}
