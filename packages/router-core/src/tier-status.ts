/** What is known of a tier right now: its queue and its live workers. */
import { z } from 'zod';

/** A worker's heartbeat, as it lies in the registry. */
export const workerStatusSchema = z.object({
  id: z.string(),
  host: z.string(),
  pid: z.int(),
  slots: z.int().nonnegative(),
  running: z.int().nonnegative(),
  /** `closed`: it pulls jobs. `open`: its engine does not answer, and it does not pull. */
  breaker: z.enum(['closed', 'open']),
  upstream: z.string(),
  model: z.string(),
  max_model_len: z.int().positive().nullable(),
  /** Moving average of how long a job occupies a slot, in milliseconds; null before the first. */
  service_ms: z.number().nonnegative().nullable(),
});
export type WorkerStatus = z.infer<typeof workerStatusSchema>;

export interface TierStatus {
  readonly name: string;
  /** Jobs that wait. */
  readonly depth: number;
  readonly workers: readonly WorkerStatus[];
}

/**
 * How long a job that joins the queue now will wait, in milliseconds: what is before it, at the
 * rate at which the tier's slots come free (Little's law). Null when nobody can tell, because no
 * worker lives or none has finished a job yet.
 */
export function estimateWaitMs({ depth, workers }: Omit<TierStatus, 'name'>): number | null {
  const pulling = workers.filter((worker) => worker.breaker === 'closed');
  const slots = sum(pulling.map((worker) => worker.slots));
  const running = sum(pulling.map((worker) => worker.running));
  if (slots === 0) return null;
  const ahead = depth + running - slots + 1;
  if (ahead <= 0) return 0;
  const known = pulling.flatMap((worker) => worker.service_ms ?? []);
  if (known.length === 0) return null;
  return Math.round((ahead * (sum(known) / known.length)) / slots);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
