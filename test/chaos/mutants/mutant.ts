/** What a planted bug is. */
import type { LoadMix } from '../load/plan.ts';
import type { Fault } from '../nemesis/fault.ts';
import type { Edit } from './mutated-source.ts';

export const STORE = 'packages/job-store/src';
export const LUA = `${STORE}/scripts`;

export interface Mutant {
  readonly name: string;
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** At least one violation of one of these invariants. */
  readonly expected: readonly string[];
  /** None: it shows without any. */
  readonly faults: readonly Fault[];
  /** Instead of its name. */
  readonly seed?: string;
  readonly mix?: Partial<LoadMix>;
  readonly loadMs?: number;
  /** For how long clients come, where that is not as long. */
  readonly arrivalsMs?: number;
  readonly perSecond?: number;
  /** Of the engines' times. */
  readonly timeScale?: number;
  readonly pauseMs?: readonly [min: number, max: number];
}

/** A worker never looks how its jobs stand, which would make up for what else it is not told. */
export const INATTENTIVE: Edit = {
  file: 'apps/worker/src/attend.ts',
  text: 'export const ATTEND_MS = 1_000;',
  replacement: 'export const ATTEND_MS = 1_000_000;',
};

/** A worker that is gone is noticed within seconds, so that a run may be short. No bug. */
export const HASTE: readonly Edit[] = [
  {
    file: `${STORE}/consumer.ts`,
    text: 'lockDuration: LOCK_MS,',
    replacement: 'lockDuration: 2_000,',
  },
  {
    file: `${STORE}/consumer.ts`,
    text: 'stalledInterval: STALLED_CHECK_MS,',
    replacement: 'stalledInterval: 500,',
  },
];
