/**
 * The load of a tier: what waits in it and runs in it, counted in jobs and in tokens.
 *
 * Work is counted in tokens, because one job may be a thousand times another. A token of a prompt
 * costs far less than one that is generated: an engine reads many prompt tokens in one step and
 * generates one per step.
 */
import type { JobClass } from './job.ts';

/**
 * Cost of reading a prompt token, in generated tokens: an engine that reads 512 tokens of a prompt in
 * the step in which it generates one for each of 32 sequences does 16 for one.
 */
const PROMPT_TOKEN_COST = 1 / 16;

export interface ClassLoad {
  readonly jobs: number;
  /** Cost of these jobs, in generated tokens. */
  readonly tokens: number;
}

/** As the queue's own counters have it, exact at the moment of reading. */
export interface TierLoad {
  readonly waiting: Readonly<Record<JobClass, ClassLoad>>;
  readonly running: Readonly<Record<JobClass, ClassLoad>>;
  /** Of both: jobs that were brought here from another tier. */
  readonly fallbackJobs: number;
  /** Cost of the jobs that have been admitted lately, per second, by class. */
  readonly arrivingTokensPerS: Readonly<Record<JobClass, number>>;
  /** The queue-depth alert. */
  readonly isAlerting: boolean;
  /** The first standard job has used up half of its time: every fourth start is standard's. */
  readonly isStandardLate: boolean;
}

/** What a job would find before it, in the fair order of its class. */
export type Ahead = ClassLoad;

const NO_JOBS: ClassLoad = { jobs: 0, tokens: 0 };

export const NO_LOAD: TierLoad = {
  waiting: { interactive: NO_JOBS, standard: NO_JOBS, batch: NO_JOBS },
  running: { interactive: NO_JOBS, standard: NO_JOBS, batch: NO_JOBS },
  fallbackJobs: 0,
  arrivingTokensPerS: { interactive: 0, standard: 0, batch: 0 },
  isAlerting: false,
  isStandardLate: false,
};

/** Jobs that wait, batches included. */
export function depthOf({ waiting }: Pick<TierLoad, 'waiting'>): number {
  return waiting.interactive.jobs + waiting.standard.jobs + waiting.batch.jobs;
}

/**
 * What a job is expected to cost, in generated tokens, at least 1.
 *
 * @param minTokens that it generates in any case
 * @param typicalTokens how many tokens the tier's answers have on average; null while unknown
 */
export function expectedCost({
  promptTokens,
  minTokens,
  maxTokens,
  typicalTokens,
}: {
  promptTokens: number;
  minTokens: number;
  maxTokens: number;
  typicalTokens: number | null;
}): number {
  const typical = typicalTokens === null ? maxTokens : Math.max(minTokens, typicalTokens);
  const generated = Math.min(maxTokens, typical);
  return costOf({ promptTokens, generatedTokens: generated });
}

/** What a job has cost, in generated tokens, at least 1. */
export function costOf({
  promptTokens,
  generatedTokens,
}: {
  promptTokens: number;
  generatedTokens: number;
}): number {
  return Math.max(1, Math.ceil(promptTokens * PROMPT_TOKEN_COST + generatedTokens));
}
