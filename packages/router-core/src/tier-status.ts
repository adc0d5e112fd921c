/** What is known of a tier right now: its queue and its live workers. */
import { z } from 'zod';
import type { TierLoad } from './tier-load.ts';

/**
 * `closed`: jobs go there. `open`: none does. `half_open`: one at a time does, to find out.
 */
export const breakerSchema = z.enum(['closed', 'half_open', 'open']);
export type BreakerName = z.infer<typeof breakerSchema>;

/** One engine, as its worker sees it. Null: the engine does not tell, or not now. */
const upstreamStatusSchema = z.object({
  url: z.string(),
  /** Only a `ready` one takes jobs. */
  state: z.enum(['starting', 'warming', 'ready', 'suspect', 'gone']),
  /** Jobs of this worker. */
  running: z.int().nonnegative(),
  /** Jobs of this worker that it may have at once, by its load; 0 while it is not ready. */
  slots: z.int().nonnegative(),
  waiting: z.number().nonnegative().nullable(),
  /** Share of the KV cache that is in use, 0 to 1. */
  kv_usage: z.number().nonnegative().nullable(),
  /** Since the engine's start. */
  preemptions: z.number().nonnegative().nullable(),
  model: z.string().nullable(),
  max_model_len: z.int().positive().nullable(),
  version: z.string().nullable(),
  /** Workers of before there were breakers do not say it. */
  breaker: breakerSchema.optional(),
  /** Until it is tried again, in milliseconds; null while its breaker is not open. */
  retry_in_ms: z.number().nonnegative().nullish(),
});
export type UpstreamStatus = z.infer<typeof upstreamStatusSchema>;

/** A worker's heartbeat, as it lies in the registry. */
export const workerStatusSchema = z.object({
  id: z.string(),
  host: z.string(),
  pid: z.int(),
  /** Of its engines that are ready. */
  slots: z.int().nonnegative(),
  running: z.int().nonnegative(),
  /** `closed`: it pulls jobs. `half_open`: one at a time. `open`: it does not pull. */
  breaker: breakerSchema,
  /** Until it pulls again, in milliseconds, where that is known. */
  retry_in_ms: z.number().nonnegative().nullish(),
  /** One that is ready, if there is one. */
  upstream: z.string(),
  model: z.string(),
  /** The smallest of its engines'. */
  max_model_len: z.int().positive().nullable(),
  /** Moving average of how long a job occupies a slot, in milliseconds; null before the first. */
  service_ms: z.number().nonnegative().nullable(),
  /** Cost of jobs (see `costOf`) that it gets done per second with all its slots in use. */
  tokens_per_s: z.number().nonnegative().nullish(),
  /** Moving average of the tokens of an answer. */
  output_tokens: z.number().nonnegative().nullish(),
  /** Workers that know one engine only do not say it. */
  upstreams: z.array(upstreamStatusSchema).optional(),
});
export type WorkerStatus = z.infer<typeof workerStatusSchema>;

export interface TierStatus {
  readonly name: string;
  /** Jobs that wait. */
  readonly depth: number;
  readonly load: TierLoad;
  readonly workers: readonly WorkerStatus[];
}
