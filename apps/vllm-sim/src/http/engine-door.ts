import type { Engine } from '../engine/engine.ts';
import { engineFailed, RequestError } from '../protocol/request-error.ts';

/** @throws RequestError of a dead engine or a full queue */
export function enterEngine(engine: Pick<Engine, 'isDead' | 'admit'>, choices: number): void {
  if (engine.isDead()) throw engineFailed();
  const admission = engine.admit({ choices });
  if (admission.kind === 'refused') throw queueOverflow(admission.reason);
}

/** vLLM's QueueOverflowError, since 0.29. The status is known, type and wording are not verified. */
function queueOverflow(limit: string): RequestError {
  return new RequestError({
    status: 503,
    type: 'ServiceUnavailableError',
    message: `The request queue is full (${limit}). Please try again later.`,
  });
}
