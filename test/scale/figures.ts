/** What each phase of a run comes to. */
import type { ScaleResult } from './run.ts';

export interface PhaseFigures {
  readonly workers: number;
  readonly seconds: number;
  readonly inWorkMean: number;
  readonly jobsPerS: number;
  readonly tokensPerS: number;
  /** Of its tokens per second to those of the first phase. */
  readonly ratio: number;
  /** Of those that have ended, by the worker that ended them. */
  readonly jobsByWorker: readonly number[];
  readonly hasFailover: boolean;
}

export interface Totals {
  readonly acknowledged: number;
  readonly completed: number;
  /** Begun by more than one worker. */
  readonly changedHands: number;
  /** Of those, with text that the next worker went on from. */
  readonly carriedOn: number;
}

export function phaseFigures({ phases, streams, jobs }: ScaleResult): PhaseFigures[] {
  const tokensOf = new Map(jobs.map(({ id, tokens }) => [id, tokens]));
  let firstPerS = 0;
  return phases.map(({ workers, fromMs, toMs, inWork, hasFailover }) => {
    const seconds = (toMs - fromMs) / 1_000;
    const ended = streams.filter((stream) => stream.toMs >= fromMs && stream.toMs < toMs);
    const tokens = ended.reduce((sum, { jobId }) => sum + (tokensOf.get(jobId ?? '') ?? 0), 0);
    const byWorker = Map.groupBy(ended, (stream) => stream.workers.at(-1));
    firstPerS ||= tokens / seconds;
    return {
      workers,
      seconds,
      inWorkMean: inWork.reduce((sum, count) => sum + count, 0) / inWork.length,
      jobsPerS: ended.length / seconds,
      tokensPerS: tokens / seconds,
      ratio: tokens / seconds / firstPerS,
      jobsByWorker: [...byWorker.values()].map((own) => own.length).toSorted((a, b) => b - a),
      hasFailover,
    };
  });
}

export function totals({ streams, jobs }: ScaleResult): Totals {
  return {
    acknowledged: streams.filter(({ jobId }) => jobId !== null).length,
    completed: jobs.filter(({ status }) => status === 'completed').length,
    changedHands: streams.filter(({ workers }) => new Set(workers).size > 1).length,
    carriedOn: jobs.filter(({ continued }) => continued > 0).length,
  };
}
