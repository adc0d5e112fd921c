import type { CachedSequence, KvCache } from './kv-cache.ts';
import { createStepDraft, type StepDraft, type StepPlan } from './step-plan.ts';
import { createWaitingQueue } from './waiting-queue.ts';

export type SchedulingPolicy = 'fcfs' | 'priority';

export type SchedulerLimits = {
  /** Sequences in one step. */
  readonly sequencesMax: number;
  /** Tokens computed in one step, over all sequences. */
  readonly batchedTokensMax: number;
  readonly schedulingPolicy: SchedulingPolicy;
};

/**
 * A sequence as the scheduler sees it. `computedTokens` of its `promptTokens + generatedTokens`
 * known ones are in the KV cache, and a step that computes the last known one yields the next.
 * Prefill, decode and recomputation are all that one rule.
 */
export type Schedulable = CachedSequence & {
  readonly promptTokens: number;
  generatedTokens: number;
  /** Lower goes first, under the priority policy. */
  readonly priority: number;
  /** Among equals the lower goes first; set by the scheduler. */
  rank: number;
  preemptions: number;
  /** Finished or aborted: the next plan forgets it and frees its blocks. */
  over: boolean;
};

export type Scheduler<S> = {
  /** Queues a new sequence, behind all others (of its priority, where priority counts). */
  add(sequence: S): void;
  /**
   * Decides the next step, and moves the sequences and their blocks accordingly. The caller then
   * adds `tokens` of the work to each `computedTokens`.
   */
  plan(): StepPlan<S>;
  /** Forgets what is over and frees its blocks. `plan` does that too. */
  forgetOver(): void;
  running(): readonly S[];
  waiting(): readonly S[];
};

/**
 * What each step does, by the rules of vLLM's v1/core/sched/scheduler.py, with no clock and no
 * chance:
 *
 *   1. Running sequences first, in the order of their admission, each with all it has to compute
 *      (one token in decode, a chunk of the prompt in prefill) as far as the token budget goes.
 *   2. A sequence that finds no free block preempts: the one admitted last, or under the priority
 *      policy the least urgent one, loses its blocks and what was computed, and goes back to the
 *      head of the queue to be computed anew. It may have to be the sequence itself.
 *   3. Waiting sequences in order, only if no one was preempted, while there is a place, token
 *      budget, and room for all tokens known of the sequence. The first that does not fit ends the
 *      step: no one overtakes it. One that never fits blocks the queue for ever, as in vLLM.
 */
export function createScheduler<S extends Schedulable>(
  limits: SchedulerLimits,
  kv: KvCache,
): Scheduler<S> {
  const goesBefore = limits.schedulingPolicy === 'priority' ? isMoreUrgent : cameFirst;
  const waiting = createWaitingQueue<S>(goesBefore);
  let running: S[] = [];
  let arrivals = 0;
  /** Below every other rank: the place at the head of the queue. */
  let headRank = 0;

  function plan(): StepPlan<S> {
    forgetOver();
    const step = createStepDraft<S>(limits.batchedTokensMax);
    while (kv.isOverfull() && running.length > 0) preempt(victim(), step);
    scheduleRunning(step);
    if (step.preemptions() === 0) admitWaiting(step);
    return step.plan();
  }

  function scheduleRunning(step: StepDraft<S>): void {
    let index = 0;
    while (index < running.length && step.budget() > 0) {
      const sequence = running[index];
      if (sequence === undefined) return;
      const tokens = Math.min(tokensToCompute(sequence), step.budget());
      const preemptions = step.preemptions();
      if (!makeRoom(sequence, tokens, step)) return;
      step.schedule(sequence, tokens);
      // Whoever was preempted may have stood before this one.
      if (step.preemptions() > preemptions) index = running.indexOf(sequence);
      index += 1;
    }
  }

  /** Preempts until `tokens` more fit; false where the sequence itself was preempted. */
  function makeRoom(sequence: S, tokens: number, step: StepDraft<S>): boolean {
    while (!kv.grow(sequence, tokens)) {
      const chosen = victim();
      preempt(chosen, step);
      if (chosen === sequence) return false;
    }
    return true;
  }

  function victim(): S {
    const last = running.at(-1);
    if (last === undefined) throw new Error('there is no one to preempt');
    if (limits.schedulingPolicy === 'fcfs') return last;
    return running.reduce((worst, other) => (goesBefore(worst, other) ? other : worst));
  }

  function preempt(sequence: S, step: StepDraft<S>): void {
    running.splice(running.lastIndexOf(sequence), 1);
    step.preempt(sequence);
    kv.free(sequence);
    sequence.computedTokens = 0;
    sequence.preemptions += 1;
    if (limits.schedulingPolicy === 'fcfs') sequence.rank = headRank -= 1;
    waiting.add(sequence);
  }

  function admitWaiting(step: StepDraft<S>): void {
    while (step.budget() > 0 && running.length < limits.sequencesMax) {
      const sequence = waiting.first();
      if (sequence === undefined) return;
      const admission = kv.admit(sequence, knownTokens(sequence));
      if (admission === undefined) return;
      waiting.removeFirst();
      running.push(sequence);
      sequence.computedTokens = admission.cachedTokens;
      const tokens = Math.min(tokensToCompute(sequence), step.budget());
      kv.grow(sequence, tokens);
      step.admit(sequence, admission.cachedTokens);
      step.schedule(sequence, tokens);
    }
  }

  function forgetOver(): void {
    waiting.removeWhere(isOver);
    if (!running.some(isOver)) return;
    running.filter(isOver).forEach(kv.free);
    running = running.filter((sequence) => !sequence.over);
  }

  return {
    add(sequence) {
      arrivals += 1;
      sequence.rank = arrivals;
      waiting.add(sequence);
    },
    plan,
    forgetOver,
    running: () => running,
    waiting: () => waiting.all(),
  };
}

/** Tokens still to be computed before the sequence yields its next one. */
function tokensToCompute(sequence: Schedulable): number {
  return knownTokens(sequence) - sequence.computedTokens;
}

/** Tokens of the prompt and those generated so far. */
export function knownTokens(sequence: {
  readonly promptTokens: number;
  readonly generatedTokens: number;
}): number {
  return sequence.promptTokens + sequence.generatedTokens;
}

function cameFirst(one: Schedulable, other: Schedulable): boolean {
  return one.rank < other.rank;
}

function isMoreUrgent(one: Schedulable, other: Schedulable): boolean {
  if (one.priority !== other.priority) return one.priority < other.priority;
  return cameFirst(one, other);
}

function isOver(sequence: Schedulable): boolean {
  return sequence.over;
}
