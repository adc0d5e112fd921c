/**
 * The life of one engine, as its worker sees it.
 *
 *   starting  it is asked what it is. It answers: warming. It does not: gone.
 *   warming   it gets small requests, so that no job pays for what engines do at their first ones,
 *             and shows by them what it can. All answered: ready. Otherwise: gone.
 *   ready     it takes jobs; the only state that counts as capacity. A canary that is not answered,
 *             a job that failed as it does when an engine is broken, tokens that stand still:
 *             suspect. Its process has started anew: starting.
 *   suspect   it takes no job until a canary has decided. One is answered: ready. Two in a row are
 *             not: gone.
 *   gone      it is asked again what it is, less and less often, until it answers: warming.
 *
 * When nobody listens any more, it serves another model, or its breaker opens (`circuit.ts`), it is gone
 * from wherever it was. What runs on it is not touched by any of that: each job has a watchdog
 * of its own.
 */
import type { Capabilities } from '../capabilities.ts';

/** What an engine has said of itself. Engines differ: what one does not tell is null. */
export interface Identity {
  readonly version: string | null;
  /** The name under which jobs are sent to it. */
  readonly model: string | null;
  /** Context window, in tokens. */
  readonly maxModelLen: number | null;
}

export type UpstreamState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'warming'; readonly identity: Identity; readonly tries: number }
  | { readonly kind: 'ready'; readonly identity: Identity; readonly capabilities: Capabilities }
  | {
      readonly kind: 'suspect';
      readonly identity: Identity;
      readonly capabilities: Capabilities;
      readonly canariesFailed: 0 | 1;
      readonly cause: string;
    }
  /** `tries`: how often it has been asked and warmed in vain; it decides when it is asked again. */
  | { readonly kind: 'gone'; readonly tries: number; readonly cause: string };

export type UpstreamEvent =
  | { kind: 'described'; identity: Identity }
  | { kind: 'warmed'; capabilities: Capabilities }
  /** A canary was answered. */
  | { kind: 'answered' }
  /** What this state asks of it was not answered as it should be. */
  | { kind: 'failed'; cause: string }
  /** From elsewhere: something may be wrong with it. */
  | { kind: 'doubted'; cause: string }
  /** Nobody listens, another model is served, its breaker is open: no job may be sent there. */
  | { kind: 'lost'; cause: string }
  | { kind: 'restarted' };

/** Returns the very same state where the event changes nothing. */
export function transition(state: UpstreamState, event: UpstreamEvent): UpstreamState {
  switch (event.kind) {
    case 'described':
      if (state.kind === 'starting') {
        return { kind: 'warming', identity: event.identity, tries: 0 };
      }
      if (state.kind !== 'gone') return state;
      return { kind: 'warming', identity: event.identity, tries: state.tries };
    case 'warmed': {
      if (state.kind !== 'warming') return state;
      const { identity } = state;
      return { kind: 'ready', identity, capabilities: event.capabilities };
    }
    case 'answered': {
      if (state.kind !== 'suspect') return state;
      const { identity, capabilities } = state;
      return { kind: 'ready', identity, capabilities };
    }
    case 'doubted':
      return state.kind === 'ready' ? suspect(state, { ...event, canariesFailed: 0 }) : state;
    case 'failed':
      return afterFailure(state, event.cause);
    case 'lost':
      if (state.kind === 'starting' || state.kind === 'gone') return state;
      return afterLoss(state, event.cause);
    case 'restarted':
      if (state.kind === 'starting' || state.kind === 'gone') return state;
      return { kind: 'starting' };
    default:
      return event satisfies never;
  }
}

function afterFailure(state: UpstreamState, cause: string): UpstreamState {
  if (state.kind === 'ready') return suspect(state, { cause, canariesFailed: 1 });
  if (state.kind === 'suspect' && state.canariesFailed === 0) {
    return suspect(state, { cause, canariesFailed: 1 });
  }
  return afterLoss(state, cause);
}

function afterLoss(state: UpstreamState, cause: string): UpstreamState {
  const tries = state.kind === 'gone' || state.kind === 'warming' ? state.tries + 1 : 0;
  return { kind: 'gone', tries, cause };
}

function suspect(
  { identity, capabilities }: { identity: Identity; capabilities: Capabilities },
  { cause, canariesFailed }: { cause: string; canariesFailed: 0 | 1 },
): UpstreamState {
  return { kind: 'suspect', identity, capabilities, canariesFailed, cause };
}
