/** What everything in a run is given. */
import type { Gate } from './measure/quiet.ts';
import type { RunLoad } from './measure/slice.ts';
import type { BenchOptions } from './options.ts';

export interface RunContext {
  readonly options: BenchOptions;
  /** For what processes write. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly gate: Gate;
  readonly runLoad: RunLoad;
  readonly say: (line: string) => void;
}
