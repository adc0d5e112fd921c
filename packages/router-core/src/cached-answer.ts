/** An answer that was given before, to the very same request. */
import type { Usage } from './events.ts';
import { isRaw } from './engine-request.ts';
import type { EngineRequest } from './engine-request.ts';
import type { JobResult } from './job.ts';

export interface CachedAnswer {
  readonly result: JobResult;
  readonly usage: Usage | null;
}

/**
 * Whether another run would give the same again: without randomness, and one plain text. What engines
 * call temperature 0 is greedy decoding; that its arithmetic differs a little from batch to batch is no
 * reason to run it again.
 */
export function isCacheable(request: EngineRequest): boolean {
  const { temperature, n, logprobs } = request;
  const isText = isRaw(request) || request.tools === undefined;
  return temperature === 0 && n === undefined && logprobs === undefined && isText;
}
