/** What the parts of a batch's run share: the batch, in whose term it runs, and with what. */
import type { BatchRuns, ProducerStore } from '@qarr/job-store';
import type { FileStore } from '@qarr/file-store';
import type { Logger } from '@qarr/process';
import type { RunnerConfig } from './config.ts';
import type { Feeder } from './feeding.ts';
import type { FeedLineDeps } from './feed-line.ts';
import type { HeldOutcomes } from './held-outcomes.ts';
import type { Term } from './hold-lease.ts';
import type { RunnerMetrics } from './metrics.ts';
import type { OwnerTurns } from './owner-turns.ts';

export interface RunDeps extends FeedLineDeps {
  readonly store: Pick<
    ProducerStore,
    'submit' | 'get' | 'follow' | 'cancel' | 'batches' | 'batchRuns' | 'files'
  >;
  readonly files: FileStore;
  readonly feeder: Feeder;
  readonly held: HeldOutcomes;
  /** Few at once. */
  readonly validations: OwnerTurns;
  readonly config: Pick<RunnerConfig, 'runTimeoutMs' | 'limits' | 'commit'>;
  readonly metrics: RunnerMetrics;
  readonly log: Logger;
}

export interface BatchRun {
  readonly batchId: string;
  readonly term: Term;
  /** Aborted when the term is over, or the batch is to make room for another. */
  readonly signal: AbortSignal;
  /** How to ask, from now on, whether it has nothing to do but wait. */
  asksIdle(isIdle: () => boolean): void;
  readonly deps: RunDeps;
  readonly log: Logger;
}

/** Another runner has the batch, or it was removed: nothing is left to do here. */
export class BatchLost extends Error {}

/** What is known here is not what Redis has, which has lost its last moment: it is read again. */
export class StaleRun extends Error {
  constructor(message = 'Redis has another state of the batch') {
    super(message);
  }
}

type Answer = Awaited<ReturnType<BatchRuns['commit']>>;

/** Throws unless it was written. */
export function written(answer: Answer): void {
  if (answer === 'ok') return;
  if (answer === 'fenced' || answer === 'gone') throw new BatchLost(answer);
  throw new StaleRun(`A write for a batch was refused: ${answer}`);
}
