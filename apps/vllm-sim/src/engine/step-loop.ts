import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.ts';
import { createGeneration } from './generation.ts';
import { createPace } from './pace.ts';
import { knownTokens, type Scheduler } from './scheduler.ts';
import type { SequenceMetrics } from './sequence-metrics.ts';
import type { Sequence } from './sequence.ts';
import type { StepPlan } from './step-plan.ts';

/**
 * The engine's loop. One step at a time: plan, let the step's time pass, hand out its tokens. It
 * runs only while there is something to compute, so an idle engine holds no timer, and neither does
 * one whose first sequence never fits.
 */
export type StepLoop = {
  /** To be called whenever the next plan may differ: there is more work, less, or more room. */
  wake(): void;
  /** No step begins or ends until `resume`. */
  hang(): void;
  resume(): void;
  /** Ends the step in progress at once. `dead` begins no other and leaves the gauges as they are. */
  cut(how: 'dead' | 'alive'): void;
};

/**
 * Prompts that are read, each with its first token, in one turn of the event loop: some
 * milliseconds. Each choice of a request reads the prompt for itself, since its text depends on its
 * index, so a step may have millions of tokens to read.
 */
const PROMPT_TOKENS_PER_TURN = 32_768;

export function createStepLoop(deps: {
  scheduler: Scheduler<Sequence>;
  observer: SequenceMetrics;
  clock: Clock;
  costMs: (plan: StepPlan<Sequence>) => number;
  /** Called after each step, and when there is nothing to compute. */
  onStepped: () => void;
}): StepLoop {
  const { scheduler, observer, clock } = deps;
  const cutting = new AbortController();
  let looping = false;
  let dead = false;
  let hanging: PromiseWithResolvers<void> | undefined;

  async function loop(): Promise<void> {
    looping = true;
    const pace = createPace({ clock, signal: cutting.signal });
    while (await mayGoOn()) {
      const plan = scheduler.plan();
      observer.planned(plan, clock.now());
      const isStill = plan.work.length + plan.preempted.length === 0;
      if (!isStill) {
        await pace.pass(deps.costMs(plan));
        if (!(await mayGoOn())) break;
        let rest = handOut(plan.work);
        while (rest.length > 0) {
          await nextTurn();
          rest = handOut(rest);
        }
        if (dead) break;
        observer.stepped();
      }
      scheduler.forgetOver();
      deps.onStepped();
      if (isStill) break;
    }
    looping = false;
  }

  async function mayGoOn(): Promise<boolean> {
    for (let hang = hanging; hang !== undefined; hang = hanging) await hang.promise;
    return !dead;
  }

  /** Hands out the tokens of a step; returns the work that is left for the next turn. */
  function handOut(work: StepPlan<Sequence>['work']): StepPlan<Sequence>['work'] {
    const nowMs = clock.now();
    let promptTokens = 0;
    for (const [index, { sequence, tokens }] of work.entries()) {
      if (promptTokens >= PROMPT_TOKENS_PER_TURN) return work.slice(index);
      if (sequence.over) continue;
      sequence.computedTokens += tokens;
      if (sequence.computedTokens < knownTokens(sequence)) continue;
      if (sequence.generation === undefined) promptTokens += sequence.promptTokens;
      emitToken(sequence, nowMs);
    }
    return [];
  }

  function emitToken(sequence: Sequence, nowMs: number): void {
    sequence.generation ??= createGeneration(sequence);
    const output = sequence.generation.next();
    sequence.generatedTokens += 1;
    for (const id of output.tokenIds) sequence.hashes?.push(id);
    observer.token(sequence, nowMs);
    if (output.finish !== undefined) {
      sequence.over = true;
      observer.finished(sequence, output.finish.reason, nowMs);
    }
    sequence.onOutput(output);
  }

  function resume(): void {
    hanging?.resolve();
    hanging = undefined;
  }

  return {
    wake() {
      if (!looping) void loop();
    },
    hang() {
      hanging ??= Promise.withResolvers();
    },
    resume,
    cut(how) {
      dead = how === 'dead';
      cutting.abort();
      resume();
    },
  };
}
