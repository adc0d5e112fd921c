/** Which batches are worked on, where there are more than that may be at once. */
export interface Candidate {
  readonly id: string;
  readonly owner: string;
  /** Little is left to do, and somebody waits for it: it is being cancelled, or its time is up. */
  readonly isUrgent: boolean;
  /** Nothing of it could be done lately: it waits until others have had its place. */
  readonly isResting: boolean;
}

/**
 * Tenants take turns, each with the one of its batches that comes first, so that many of one keep no
 * other's from being worked on. What rests gets the places that are left.
 *
 * @param candidates the one that expires first before the others
 */
export function chooseActive(candidates: readonly Candidate[], max: number): Set<string> {
  const [urgent, resting, others] = [[], [], []] as [Candidate[], Candidate[], Candidate[]];
  for (const candidate of candidates) {
    if (candidate.isUrgent) urgent.push(candidate);
    else (candidate.isResting ? resting : others).push(candidate);
  }
  const inOrder = [urgent, inTurns(others), inTurns(resting)].flat();
  return new Set(inOrder.slice(0, max).map(({ id }) => id));
}

function inTurns(candidates: readonly Candidate[]): Candidate[] {
  const queues = [...Map.groupBy(candidates, ({ owner }) => owner).values()];
  const turns = Math.max(0, ...queues.map(({ length }) => length));
  return Array.from({ length: turns }, (_, turn) =>
    queues.flatMap((queue) => queue[turn] ?? []),
  ).flat();
}
