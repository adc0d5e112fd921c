import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { BLOCK_TOKENS } from './prefix-hashes.ts';
import {
  sequenceOf,
  startScheduler,
  type TestScheduler,
  type TestSequence,
} from './scheduler-for-test.ts';

/** Blocks that one sequence of the load may need at most. */
const BLOCKS_PER_SEQUENCE = 8;

type Arrival = {
  prompt: number;
  tokens: number;
  topic: number;
  priority: number;
  prefixCaching: boolean;
  /** In the step before which it arrives; and leaves, if its client does. */
  arrives: number;
  leaves: number | undefined;
};

const load = fc.record({
  blocks: fc.integer({ min: BLOCKS_PER_SEQUENCE, max: 30 }),
  sequencesMax: fc.integer({ min: 1, max: 8 }),
  batchedTokensMax: fc.integer({ min: 8, max: 200 }),
  schedulingPolicy: fc.constantFrom('fcfs' as const, 'priority' as const),
  arrivals: fc.array(
    fc.record<Arrival>({
      prompt: fc.integer({ min: 1, max: 80 }),
      tokens: fc.integer({ min: 1, max: 48 }),
      topic: fc.nat(2),
      priority: fc.nat(3),
      prefixCaching: fc.boolean(),
      arrives: fc.nat(40),
      leaves: fc.option(fc.nat(80), { nil: undefined }),
    }),
    { minLength: 1, maxLength: 20 },
  ),
});

/** More than any load above takes: each step computes at least one token, also of what is redone. */
const STEPS_MAX = 20_000;

test('under any load nothing is lost, no limit is broken, and everyone finishes', () => {
  fc.assert(
    fc.property(load, ({ arrivals, blocks, ...limits }) => {
      const scheduler = startScheduler({ ...limits, blocks });
      const sequences = arrivals.map((arrival) => ({ arrival, sequence: sequenceOf(arrival) }));
      let step = 0;
      for (; step < STEPS_MAX && sequences.some(({ sequence }) => !sequence.over); step += 1) {
        for (const { arrival, sequence } of sequences) {
          if (arrival.arrives === step) scheduler.add(sequence);
          if (arrival.leaves !== undefined && arrival.arrives + arrival.leaves === step) {
            sequence.over = true;
          }
        }
        const plan = scheduler.step();
        expect(plan.tokensInStep).toBe(plan.work.reduce((sum, { tokens }) => sum + tokens, 0));
        expect(plan.tokensInStep).toBeLessThanOrEqual(limits.batchedTokensMax);
        expect(plan.work.every(({ tokens }) => tokens > 0)).toBe(true);
        expect(scheduler.running().length).toBeLessThanOrEqual(limits.sequencesMax);
        expect(plan.preempted.length === 0 || plan.admitted.length === 0).toBe(true);
        expectBlocksInOrder(scheduler, blocks);
      }
      expect(step).toBeLessThan(STEPS_MAX);
      scheduler.step();
      expect(scheduler.kv.usage()).toBe(0);
      expect([...scheduler.running(), ...scheduler.waiting()]).toEqual([]);
    }),
  );
});

test('what is generated depends on nothing but the prompt', () => {
  fc.assert(
    fc.property(load, ({ arrivals, blocks, ...limits }) => {
      const crowded = startScheduler({ ...limits, blocks });
      const sequences = arrivals.map(sequenceOf);
      sequences.forEach(crowded.add);
      runToEnd(crowded, sequences);
      for (const [index, arrival] of arrivals.entries()) {
        const alone = startScheduler();
        const sequence = sequenceOf({ ...arrival, prefixCaching: false });
        alone.add(sequence);
        runToEnd(alone, [sequence]);
        expect(sequences[index]?.ids).toEqual(sequence.ids);
      }
    }),
  );
});

test('of those who wait, the more urgent is admitted first', () => {
  fc.assert(
    fc.property(load, ({ arrivals, blocks, ...limits }) => {
      const scheduler = startScheduler({ ...limits, blocks, schedulingPolicy: 'priority' });
      const sequences = arrivals.map(sequenceOf);
      sequences.forEach(scheduler.add);
      while (sequences.some(({ over }) => !over)) {
        const { admitted } = scheduler.step();
        const left = Math.min(...scheduler.waiting().map(({ priority }) => priority));
        for (const { sequence } of admitted) expect(sequence.priority).toBeLessThanOrEqual(left);
      }
    }),
  );
});

function runToEnd(scheduler: TestScheduler, sequences: readonly TestSequence[]): void {
  for (let step = 0; sequences.some(({ over }) => !over); step += 1) {
    if (step === STEPS_MAX) throw new Error('the load does not end');
    scheduler.step();
  }
}

/** Blocks are counted once, are as many as the tokens need, and are shared by equal prefixes only. */
function expectBlocksInOrder(scheduler: TestScheduler, blocks: number): void {
  const contents = new Map<number, string>();
  for (const sequence of scheduler.running()) {
    expect(sequence.blocks).toHaveLength(Math.ceil(sequence.computedTokens / BLOCK_TOKENS));
    for (const [index, block] of sequence.blocks.entries()) {
      const end = Math.min((index + 1) * BLOCK_TOKENS, sequence.computedTokens);
      const content = sequence.ids.slice(0, end).join(' ');
      expect(contents.get(block) ?? content).toBe(content);
      contents.set(block, content);
    }
  }
  expect(scheduler.kv.usage()).toBeCloseTo(contents.size / blocks);
  for (const sequence of scheduler.waiting()) expect(sequence.blocks).toEqual([]);
}
