/** What the outcome of a job says of its engine. */
import type { CallOutcome } from '@qarr/router-core';
import type { EngineOutcome } from '../engine.ts';

type Doubt = { kind: 'doubted'; cause: string } | { kind: 'lost'; cause: string };

/** Null: nothing. A request that is refused, and one that we break off, are no sign of trouble. */
export function doubtOf({ ending }: EngineOutcome): Doubt | null {
  if (ending.kind !== 'failed') return null;
  const { engine, code } = ending.failure;
  switch (engine) {
    case 'gone':
      return { kind: 'lost', cause: code };
    case 'suspect':
      return { kind: 'doubted', cause: code };
    case 'busy':
    case 'fine':
      return null;
    default:
      return engine satisfies never;
  }
}

/**
 * For its breaker. What is never tried again has been refused: our key or a name may be wrong, but the
 * engine works.
 */
export function callOutcomeOf({ ending }: EngineOutcome): CallOutcome {
  if (ending.kind === 'whole') return 'succeeded';
  if (ending.kind === 'aborted') return 'neutral';
  const { engine, retryable } = ending.failure;
  const isBroken = retryable && (engine === 'gone' || engine === 'suspect');
  return isBroken ? 'failed' : 'neutral';
}

/** As a probe's failure counts for its job, which was sent where one was likely: not as a try. */
export function sparedOutcome(outcome: EngineOutcome): EngineOutcome {
  const { ending } = outcome;
  if (ending.kind !== 'failed' || ending.failure.burns !== 'try') return outcome;
  if (callOutcomeOf(outcome) !== 'failed') return outcome;
  return { ...outcome, ending: { ...ending, failure: { ...ending.failure, burns: 'spare' } } };
}
