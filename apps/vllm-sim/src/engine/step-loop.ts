import type { Clock } from './clock.ts';
import { createGeneration } from './generation.ts';
import { createPace } from './pace.ts';
import { readPrompts } from './read-prompts.ts';
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
        await readPrompts(plan);
        await pace.pass(deps.costMs(plan));
        if (!(await mayGoOn())) break;
        finishStep(plan);
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

  function finishStep(plan: StepPlan<Sequence>): void {
    const nowMs = clock.now();
    for (const { sequence, tokens } of plan.work) {
      if (sequence.over) continue;
      sequence.computedTokens += tokens;
      if (sequence.computedTokens === knownTokens(sequence)) emitToken(sequence, nowMs);
    }
    observer.stepped();
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
