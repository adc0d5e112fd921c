/** What a run has found, raw. */
import type { Slice } from './measure/slice.ts';
import type { Figures } from './report/figures.ts';

export interface Sample {
  readonly scenario: string;
  readonly path: string;
  readonly round: number;
  readonly figures: Figures;
  /** Null where the scenario is no load. */
  readonly slice: Slice | null;
  /** Of the machine, that others had meanwhile; null where nobody has looked. */
  readonly foreignShare: number | null;
  /** Slices before this one that were not clean. */
  readonly thrownAway: number;
}

/** Its path has no figures in this scenario. */
export interface Failure {
  readonly scenario: string;
  readonly path: string;
  readonly message: string;
}

export interface RunResult {
  readonly samples: readonly Sample[];
  readonly failures: readonly Failure[];
  /** Paths that could not take part at all. */
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[];
  readonly tookMs: number;
}
