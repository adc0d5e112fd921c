/** What is asked of admission, by which options, and what its answer is held to. */
import type { Fallback, JobClass } from './job.ts';

export interface AdmissionRequest {
  readonly tier: string;
  readonly fallback: Fallback;
  readonly class: JobClass;
  readonly queueTimeoutMs: number;
  /** Expected cost. */
  readonly tokens: number;
  /** By tier: whether its context window is large enough. */
  readonly fits: Readonly<Record<string, boolean>>;
  /** In [0, 1). */
  readonly random: number;
}

export interface AdmissionOptions {
  /** Jobs that may wait in a tier. */
  readonly depthMax: number;
  /** Of the time in which a job must start: its estimated wait may use so much, being rough. */
  readonly waitShareMax: number;
  /** Of a tier's slots: so many jobs may other tiers have sent it, and always one. */
  readonly fallbackShareMax: number;
}

/** What must hold at the moment at which the job is written. */
export interface EntryLimits {
  /** Waiting jobs of the tier, all classes. */
  readonly depthMax: number;
  /** Cost of what is before it in its fair order, higher classes included; null: no limit. */
  readonly tokensAheadMax: number | null;
  /** Whether it may enter while the tier alerts. */
  readonly whileAlerting: boolean;
  /** Jobs in the tier that were brought there; null: it is none of them. */
  readonly fallbackJobsMax: number | null;
  /** Waiting batch jobs of the tier; not said: only the depth counts. */
  readonly batchWaitingMax?: number | undefined;
}

export function maxWaitMs(
  { queueTimeoutMs }: Pick<AdmissionRequest, 'queueTimeoutMs'>,
  { waitShareMax }: AdmissionOptions,
): number {
  return queueTimeoutMs * waitShareMax;
}
