/** Planted bugs: what each breaks, by which faults it shows, and which invariant must find it. */
import { ATTEMPT_MUTANTS } from './attempts.ts';
import { JOB_MUTANTS } from './jobs.ts';
import type { Mutant } from './mutant.ts';

/** The longest first. */
export const MUTANTS: readonly Mutant[] = [...ATTEMPT_MUTANTS, ...JOB_MUTANTS];
