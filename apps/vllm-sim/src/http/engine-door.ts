import type { Engine } from '../engine/engine.ts';
import { engineFailed, RequestError } from '../protocol/request-error.ts';

/** What an engine may say before it takes a request; one without these takes everything. */
export type EngineDoor = Pick<Engine, 'counts'> & {
  isDead?(): boolean;
  admit?(request: { choices: number }): { kind: 'admitted' } | { kind: 'refused'; reason: string };
};

/** @throws RequestError of a dead engine or a full queue */
export function enterEngine(engine: EngineDoor, choices: number): void {
  if (engine.isDead?.() === true) throw engineFailed();
  const admission = engine.admit?.({ choices });
  if (admission?.kind === 'refused') throw queueOverflow(admission.reason);
}

/** vLLM's QueueOverflowError, since 0.29. The status is known, type and wording are not verified. */
function queueOverflow(limit: string): RequestError {
  return new RequestError({
    status: 503,
    type: 'ServiceUnavailableError',
    message: `The request queue is full (${limit}). Please try again later.`,
  });
}
