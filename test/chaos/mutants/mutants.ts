/** Planted bugs: what each breaks, by which faults it shows, and which invariant must find it. */
import { ATTEMPT_MUTANTS } from './attempts.ts';
import { JOB_MUTANTS } from './jobs.ts';
import type { Mutant } from './mutant.ts';

/** The longest first. */
export const MUTANTS: readonly Mutant[] = [...ATTEMPT_MUTANTS, ...JOB_MUTANTS];

/** One for each invariant that has any: every check has found something. */
export const ONE_OF_EACH: readonly Mutant[] = [
  ...new Map(MUTANTS.toReversed().map((mutant) => [mutant.expected.join(), mutant])).values(),
].toReversed();
