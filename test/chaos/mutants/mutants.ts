/** Planted bugs: what each breaks, by which faults it shows, and which invariant must find it. */
import { ATTEMPT_MUTANTS } from './attempts.ts';
import { JOB_MUTANTS } from './jobs.ts';
import type { Mutant } from './mutant.ts';

/** The longest first. */
export const MUTANTS: readonly Mutant[] = [...ATTEMPT_MUTANTS, ...JOB_MUTANTS];

/** What readers are promised: one end, one text, no gap. */
const OF_READERS = ['I1', 'I3', 'I5', 'I6', 'I7'];

/** One for each of these invariants. */
export const IN_EVERY_RUN: readonly Mutant[] = OF_READERS.flatMap(
  (invariant) => MUTANTS.find(({ expected }) => expected[0] === invariant) ?? [],
);
