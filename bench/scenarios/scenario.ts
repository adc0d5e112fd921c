/** What a scenario is, and what it gives. The list of all is `list.ts`. */
import type { LoadOptions } from '../load/load.ts';
import type { Gate } from '../measure/quiet.ts';
import type { RunLoad } from '../measure/slice.ts';
import type { Shape } from '../paths/path.ts';
import type { QarrPath } from '../paths/qarr.ts';
import type { Figures } from '../report/figures.ts';

export const ONE_OF_EACH: Shape = { apis: 1, workers: 1 };

interface Base {
  readonly name: string;
  /** As a heading, in words. */
  readonly title: string;
  /** Of scenarios that differ in one number, which a plot has across. */
  readonly series?: { readonly of: Series; readonly x: number };
  /** Part of `--quick`, too. */
  readonly isQuick: boolean;
}

export type Series = 'streams' | 'rate' | 'output' | 'backlog' | 'lines' | 'processes';

/** The same load on several paths in turn, in the same processes as all others of its shape. */
export interface LoadScenario extends Base {
  readonly kind: 'load';
  readonly shape: Shape;
  /** By name. */
  readonly paths: readonly string[];
  /** Between two steps of the engine; 0: as fast as sockets take it. */
  readonly stepMs: number;
  readonly load: Omit<LoadOptions, 'urls' | 'headers' | 'model' | 'forMs'> & {
    /** In place of what is said for all. */
    readonly forMs?: number;
  };
  /** What depends on it is a target that is timed, which wants more rounds. */
  readonly isTarget?: boolean;
}

/** One that brings its own processes, and its own way to look at them. QARR alone takes part. */
export interface OwnScenario extends Base {
  readonly kind: 'own';
  readonly run: (qarr: QarrPath, context: OwnContext) => Promise<readonly Figures[]>;
}

/** QARR of other sources is named after them, and goes wherever QARR goes. */
export function takesPart(path: string, { paths }: LoadScenario): boolean {
  return paths.includes(path.split('@', 1)[0] ?? '');
}

export type Scenario = LoadScenario | OwnScenario;

export interface OwnContext {
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly gate: Gate;
  readonly runLoad: RunLoad;
  /** For how much time is less than what it is worth. */
  readonly isQuick: boolean;
}

/** Something of an answer was wrong, or missing: what was measured counts for nothing. */
export class WrongAnswers extends Error {
  override readonly name = 'WrongAnswers';
}
