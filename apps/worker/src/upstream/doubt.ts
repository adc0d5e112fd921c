/** What the outcome of a job says of its engine. */
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
    case 'fine':
      return null;
    default:
      return engine satisfies never;
  }
}
