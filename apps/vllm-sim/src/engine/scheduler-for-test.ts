import { createKvCache, type KvCache } from './kv-cache.ts';
import { createPrefixHashes } from './prefix-hashes.ts';
import {
  createScheduler,
  type Schedulable,
  type Scheduler,
  type SchedulerLimits,
} from './scheduler.ts';
import type { StepPlan } from './step-plan.ts';

/** A sequence that generates the tokens it was told to. */
export type TestSequence = Schedulable & {
  readonly name: string;
  /** All tokens known so far. */
  readonly ids: number[];
  readonly tokensMax: number;
};

export type TestScheduler = Scheduler<TestSequence> & {
  readonly kv: KvCache;
  /** Plans a step and computes it. */
  step(): StepPlan<TestSequence>;
};

export function startScheduler(
  options: Partial<SchedulerLimits> & { blocks?: number } = {},
): TestScheduler {
  const kv = createKvCache({ blocks: options.blocks ?? 1000 });
  const scheduler = createScheduler<TestSequence>(
    { sequencesMax: 4, batchedTokensMax: 100, schedulingPolicy: 'fcfs', ...options },
    kv,
  );

  function step(): StepPlan<TestSequence> {
    const plan = scheduler.plan();
    for (const { sequence, tokens } of plan.work) {
      sequence.computedTokens += tokens;
      if (sequence.computedTokens < sequence.ids.length) continue;
      // A text is a function of what stands before it.
      const id = sequence.ids.reduce((hash, each) => (hash * 31 + each) % 9973, 7);
      sequence.ids.push(id);
      sequence.hashes?.push(id);
      sequence.generatedTokens += 1;
      sequence.over = sequence.generatedTokens === sequence.tokensMax;
    }
    return plan;
  }

  return { ...scheduler, kv, step };
}

/** @param options.topic prompts of one topic begin alike */
export function sequenceOf(options: {
  name?: string;
  prompt: number;
  tokens?: number;
  priority?: number;
  topic?: number;
  prefixCaching?: boolean;
}): TestSequence {
  const { name = '', prompt, topic = 0, prefixCaching = false } = options;
  const ids = Array.from({ length: prompt }, (_, at) => topic * 1000 + at);
  return {
    name,
    ids: [...ids],
    promptTokens: prompt,
    tokensMax: options.tokens ?? 10,
    priority: options.priority ?? 0,
    hashes: prefixCaching ? createPrefixHashes({ promptIds: ids, salt: '' }) : undefined,
    rank: 0,
    blocks: [],
    computedTokens: 0,
    generatedTokens: 0,
    preemptions: 0,
    over: false,
  };
}

/** What a step computes, as `name: tokens`. */
export function workOf(plan: StepPlan<TestSequence>): string[] {
  return plan.work.map(({ sequence, tokens }) => `${sequence.name}: ${tokens}`);
}
