/** Which batches are worked on, where there are more than that may be at once. */
export interface Candidate {
  readonly id: string;
  readonly owner: string;
  /** Little is left to do, and somebody waits for it: it is being cancelled. */
  readonly isUrgent: boolean;
}

/**
 * Tenants take turns, each with the one of its batches that comes first, so that many of one keep no
 * other's from being worked on.
 *
 * @param candidates the one that expires first before the others
 */
export function chooseActive(candidates: readonly Candidate[], max: number): Set<string> {
  const urgent = candidates.filter(({ isUrgent }) => isUrgent).map(({ id }) => id);
  const chosen = new Set(urgent.slice(0, max));
  const queues = Map.groupBy(
    candidates.filter(({ isUrgent }) => !isUrgent),
    ({ owner }) => owner,
  );
  for (let turn = 0; chosen.size < Math.min(max, candidates.length); turn += 1) {
    for (const queue of queues.values()) {
      const next = queue[turn];
      if (next !== undefined && chosen.size < max) chosen.add(next.id);
    }
  }
  return chosen;
}
