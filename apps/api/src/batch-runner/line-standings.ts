/**
 * Where each line of a batch stands, in the memory of its runner. All of it can be made again from what
 * is durable: which lines have an outcome, and which have a job.
 *
 * - `pending`: leaves when it is taken to be fed.
 * - `taken`: it is being fed. Leaves to `in_system`, or to `collected` where it was refused for good;
 *   back to `pending` where there was no room.
 * - `in_system`: its job waits, runs, or has ended. Leaves to `collected`.
 * - `collected`: its outcome is known here. Leaves to `done` when that is durable.
 * - `done`: nothing leaves it.
 */
export const LINE_STANDINGS = ['pending', 'taken', 'in_system', 'collected', 'done'] as const;
export type LineStanding = (typeof LINE_STANDINGS)[number];

export interface LineStandings {
  readonly total: number;
  count(standing: LineStanding): number;
  /** In the system, or on the way there. */
  inTier(tier: string): number;
  hasPending(tier: string): boolean;
  /** The next one for the tier. */
  take(tier: string): number | null;
  /** There was no room for it in this tier; null: it has found none yet. */
  giveBack(line: number, tier: string | null): void;
  fed(line: number, tier: string): void;
  /** Returns false where it has its outcome already. */
  collected(line: number): boolean;
  done(lines: readonly number[]): void;
  /** Its job is not in the system, whatever was believed. */
  lost(line: number): void;
  inSystem(): number[];
  /** It has a job, whatever was believed. */
  found(line: number): void;
  collectedLines(): ReadonlySet<number>;
  /** Up to so many that are pending, in their order, whatever their tier. */
  pending(limit: number): number[];
}

export function createLineStandings({
  total,
  planOf,
  done,
  inSystem,
}: {
  total: number;
  /** The tier that a line is planned for. */
  planOf: (line: number) => string;
  /** A bit for each line, the first in the highest bit of byte 0. */
  done: Uint8Array;
  inSystem: readonly number[];
}): LineStandings {
  const standings = new Uint8Array(total);
  const counts = new Map<LineStanding, number>([['pending', total]]);
  /** Of those that are taken or in the system. */
  const tierOf = new Map<number, string>();
  const collected = new Set<number>();
  const inTier = new Map<string, number>();
  /** By tier: the lines before are planned for another one, or pending no more but for those below. */
  const cursors = new Map<string, number>();
  const givenBack = new Map<string, number[]>();

  const standingOf = (line: number) => LINE_STANDINGS[standings[line] ?? 0] ?? 'pending';
  const is = (line: number, standing: LineStanding) => standingOf(line) === standing;
  const count = (standing: LineStanding) => counts.get(standing) ?? 0;

  function move(line: number, to: LineStanding): void {
    const from = standingOf(line);
    standings[line] = LINE_STANDINGS.indexOf(to);
    counts.set(from, count(from) - 1);
    counts.set(to, count(to) + 1);
    if (to === 'collected') collected.add(line);
    else collected.delete(line);
    const tier = tierOf.get(line);
    if (tier === undefined) return;
    tierOf.delete(line);
    inTier.set(tier, (inTier.get(tier) ?? 0) - 1);
  }

  function enter(line: number, tier: string, as: 'taken' | 'in_system' = 'in_system'): void {
    move(line, as);
    tierOf.set(line, tier);
    inTier.set(tier, (inTier.get(tier) ?? 0) + 1);
  }

  function putBack(line: number, tier: string): void {
    move(line, 'pending');
    const lines = givenBack.get(tier);
    // There may be very many, of a tier that is down.
    if (lines === undefined) givenBack.set(tier, [line]);
    else lines.push(line);
  }

  for (let line = 0; line < total; line += 1) {
    if (((done[line >> 3] ?? 0) & (0x80 >> (line & 7))) !== 0) move(line, 'done');
  }
  for (const line of inSystem) if (is(line, 'pending')) enter(line, planOf(line));

  /** Moves the tier's cursor on to its next line, if there is one. */
  function atCursor(tier: string): number | null {
    let line = cursors.get(tier) ?? 0;
    while (line < total && !(is(line, 'pending') && planOf(line) === tier)) line += 1;
    cursors.set(tier, line);
    return line < total ? line : null;
  }

  function atHand(tier: string): number[] {
    const lines = givenBack.get(tier) ?? [];
    // It may have got its outcome meanwhile.
    while (lines.length > 0 && !is(lines[0] ?? 0, 'pending')) lines.shift();
    return lines;
  }

  return {
    total,
    count,
    inTier: (tier) => inTier.get(tier) ?? 0,
    hasPending: (tier) => atHand(tier).length > 0 || atCursor(tier) !== null,
    take(tier) {
      const line = atHand(tier).shift() ?? atCursor(tier);
      if (line !== null) enter(line, tier, 'taken');
      return line;
    },
    giveBack(line, tier) {
      if (is(line, 'taken')) putBack(line, tier ?? planOf(line));
    },
    fed(line, tier) {
      // It may have ended before its feeder heard that it was in.
      if (is(line, 'taken')) enter(line, tier);
    },
    collected(line) {
      if (is(line, 'collected') || is(line, 'done')) return false;
      move(line, 'collected');
      return true;
    },
    done(lines) {
      for (const line of lines) move(line, 'done');
    },
    lost(line) {
      if (!is(line, 'in_system')) return;
      putBack(line, tierOf.get(line) ?? planOf(line));
    },
    found(line) {
      if (is(line, 'pending')) enter(line, planOf(line));
    },
    inSystem: () => [...tierOf.keys()].filter((line) => is(line, 'in_system')),
    collectedLines: () => collected,
    pending(limit) {
      const lines: number[] = [];
      if (count('pending') === 0) return lines;
      for (let line = 0; line < total && lines.length < limit; line += 1) {
        if (is(line, 'pending')) lines.push(line);
      }
      return lines;
    },
  };
}
