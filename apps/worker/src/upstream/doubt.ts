/** What the outcome of a job says of its engine. */
import type { EngineOutcome } from '../engine.ts';
import type { EngineFailure } from '../engine-failure.ts';

type Doubt = { kind: 'doubted'; cause: string } | { kind: 'lost'; cause: string };

/** Null: nothing. A request that is refused, and one that we break off, are no sign of trouble. */
export function doubtOf({ ending }: EngineOutcome): Doubt | null {
  if (ending.kind !== 'failed') return null;
  const { failure } = ending;
  if (failure.engineGone) return { kind: 'lost', cause: failure.code };
  return isEnginesFault(failure) ? { kind: 'doubted', cause: failure.code } : null;
}

/** Only the engine's own failures are worth another try. */
function isEnginesFault({ code, retryable }: EngineFailure): boolean {
  return retryable && (code === 'upstream_timeout' || code === 'upstream_error');
}
