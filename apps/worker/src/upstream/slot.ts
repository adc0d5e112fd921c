/** A place for one job on an engine: it tells the engine's breaker what became of the job. */
import type { CallOutcome } from '@qarr/router-core';
import type { Capabilities } from '../capabilities.ts';
import type { Engine, EngineOutcome } from '../engine.ts';
import type { Circuit } from './circuit.ts';
import { callOutcomeOf, sparedOutcome } from './doubt.ts';

/** A probe that streams shows so often that the engine works: its answer may take minutes. */
const PROBE_PROVES_EVERY_MS = 2_000;

/** What a job needs of its engine. */
export interface Offer {
  readonly url: string;
  readonly engine: Engine;
  readonly model: string;
  readonly capabilities: Capabilities;
}

export interface Slot extends Offer {
  /** A sign of life. */
  sawToken(): void;
  /**
   * To be called as soon as the outcome is known: it may say something of the engine. Returns it as it
   * counts for the job.
   */
  report(outcome: EngineOutcome): EngineOutcome;
  /** To be called once, when the job is done with. */
  release(): void;
}

export interface SlotListener {
  onToken(): void;
  onOutcome(outcome: EngineOutcome): void;
  onRelease(): void;
}

export function createSlot({
  offer,
  circuit,
  isNews,
  listener,
  probeProvesEveryMs = PROBE_PROVES_EVERY_MS,
}: {
  offer: Offer;
  circuit: Pick<Circuit, 'kind' | 'ask' | 'settle'>;
  /** Whether the engine is still as it was when the job was sent there. */
  isNews: () => boolean;
  listener: SlotListener;
  probeProvesEveryMs?: number | undefined;
}): Slot {
  const isProbe = circuit.kind === 'half_open';
  let permit = circuit.ask();
  let provenMs: number | null = null;

  function settle(outcome: CallOutcome): void {
    if (permit !== null) circuit.settle(permit, outcome);
    permit = null;
  }

  return {
    ...offer,
    sawToken() {
      listener.onToken();
      if (circuit.kind !== 'half_open' || permit === null) return;
      const nowMs = performance.now();
      provenMs ??= nowMs;
      if (nowMs - provenMs < probeProvesEveryMs) return;
      provenMs = nowMs;
      settle('succeeded');
      permit = circuit.ask();
    },
    report(outcome) {
      const isAsItWas = isNews();
      settle(isAsItWas ? callOutcomeOf(outcome) : 'neutral');
      if (isAsItWas) listener.onOutcome(outcome);
      return isProbe ? sparedOutcome(outcome) : outcome;
    },
    release() {
      settle('neutral');
      listener.onRelease();
    },
  };
}
