import { expect, test } from 'vitest';
import { sequenceOf, startScheduler, type TestSequence, workOf } from './scheduler-for-test.ts';

function namesOf(sequences: readonly TestSequence[]): string[] {
  return sequences.map(({ name }) => name);
}

test('a decoding sequence computes one token and reads its whole context', () => {
  const scheduler = startScheduler();
  scheduler.add(sequenceOf({ name: 'a', prompt: 30 }));
  scheduler.add(sequenceOf({ name: 'b', prompt: 50 }));
  scheduler.step();
  const plan = scheduler.step();
  expect(workOf(plan)).toEqual(['a: 1', 'b: 1']);
  expect(plan).toMatchObject({ tokensInStep: 2, kvTokens: 80 });
});

test('waiting sequences are admitted in order while the token budget lasts', () => {
  const scheduler = startScheduler();
  for (const name of ['a', 'b', 'c']) scheduler.add(sequenceOf({ name, prompt: 60 }));
  expect(workOf(scheduler.step())).toEqual(['a: 60', 'b: 40']);
  expect(namesOf(scheduler.waiting())).toEqual(['c']);
});

test('a prompt in chunks goes on where it stopped, after the others had their token', () => {
  const scheduler = startScheduler();
  scheduler.add(sequenceOf({ name: 'a', prompt: 10 }));
  scheduler.add(sequenceOf({ name: 'b', prompt: 250 }));
  const steps = [scheduler.step(), scheduler.step(), scheduler.step(), scheduler.step()];
  expect(steps.map(workOf)).toEqual([
    ['a: 10', 'b: 90'],
    ['a: 1', 'b: 99'],
    ['a: 1', 'b: 61'],
    ['a: 1', 'b: 1'],
  ]);
});

test('no more sequences run than there are places', () => {
  const scheduler = startScheduler({ sequencesMax: 2 });
  for (const name of ['a', 'b', 'c']) scheduler.add(sequenceOf({ name, prompt: 1 }));
  scheduler.step();
  expect(namesOf(scheduler.running())).toEqual(['a', 'b']);
});

test('who does not fit whole is not admitted, and no one overtakes it', () => {
  const scheduler = startScheduler({ blocks: 8 });
  scheduler.add(sequenceOf({ name: 'a', prompt: 60 }));
  scheduler.step();
  scheduler.add(sequenceOf({ name: 'large', prompt: 65 }));
  scheduler.add(sequenceOf({ name: 'small', prompt: 1 }));
  scheduler.step();
  expect(namesOf(scheduler.waiting())).toEqual(['large', 'small']);
});

test('without a free block the sequence admitted last waits again, at the head of the queue', () => {
  const scheduler = startScheduler({ blocks: 4, sequencesMax: 2 });
  for (const name of ['a', 'b', 'c']) scheduler.add(sequenceOf({ name, prompt: 32, tokens: 40 }));
  scheduler.step();
  const plan = scheduler.step();
  expect(namesOf(plan.preempted)).toEqual(['b']);
  expect(workOf(plan)).toEqual(['a: 1']);
  expect(namesOf(scheduler.waiting())).toEqual(['b', 'c']);
});

test('no one is admitted in a step that preempted', () => {
  const scheduler = startScheduler({ blocks: 5 });
  scheduler.add(sequenceOf({ name: 'a', prompt: 32, tokens: 40 }));
  scheduler.add(sequenceOf({ name: 'b', prompt: 47, tokens: 40 }));
  scheduler.step();
  scheduler.add(sequenceOf({ name: 'c', prompt: 1 }));
  const plan = scheduler.step();
  expect(namesOf(plan.preempted)).toEqual(['b']);
  expect(plan.admitted).toEqual([]);
  expect(namesOf(scheduler.step().admitted.map(({ sequence }) => sequence))).toEqual([]);
});

test('a preempted sequence is computed anew, its own tokens included', () => {
  const scheduler = startScheduler({ blocks: 4 });
  scheduler.add(sequenceOf({ name: 'a', prompt: 31, tokens: 4 }));
  const b = sequenceOf({ name: 'b', prompt: 31, tokens: 40 });
  scheduler.add(b);
  // Both have two blocks; at the third token each wants another one.
  for (let steps = 0; steps < 3; steps += 1) scheduler.step();
  expect(b).toMatchObject({ preemptions: 1, generatedTokens: 2, computedTokens: 0, blocks: [] });
  scheduler.step();
  expect(workOf(scheduler.step())).toEqual(['b: 33']);
});

test('under the priority policy the urgent goes first and the least urgent is preempted', () => {
  const scheduler = startScheduler({ blocks: 4, schedulingPolicy: 'priority', sequencesMax: 2 });
  scheduler.add(sequenceOf({ name: 'batch', prompt: 31, tokens: 40, priority: 10 }));
  scheduler.add(sequenceOf({ name: 'later', prompt: 31, tokens: 40, priority: 10 }));
  scheduler.add(sequenceOf({ name: 'urgent', prompt: 31, tokens: 40, priority: -1 }));
  expect(workOf(scheduler.step())).toEqual(['urgent: 31', 'batch: 31']);
  scheduler.step();
  const plan = scheduler.step();
  expect(namesOf(plan.preempted)).toEqual(['batch']);
  expect(namesOf(scheduler.waiting())).toEqual(['batch', 'later']);
});

test('the least urgent is preempted even if it has its place in the step already', () => {
  const scheduler = startScheduler({ blocks: 6, schedulingPolicy: 'priority' });
  scheduler.add(sequenceOf({ name: 'batch', prompt: 34, tokens: 40, priority: 10 }));
  scheduler.step();
  scheduler.add(sequenceOf({ name: 'urgent', prompt: 32, tokens: 40, priority: 0 }));
  scheduler.add(sequenceOf({ name: 'third', prompt: 8, tokens: 40, priority: 1 }));
  scheduler.step();
  const plan = scheduler.step();
  expect(namesOf(plan.preempted)).toEqual(['batch']);
  expect(workOf(plan)).toEqual(['urgent: 1', 'third: 1']);
  expect(plan).toMatchObject({ tokensInStep: 2, kvTokens: 40 });
});

test('under fcfs a priority is of no effect', () => {
  const scheduler = startScheduler();
  scheduler.add(sequenceOf({ name: 'first', prompt: 1, priority: 10 }));
  scheduler.add(sequenceOf({ name: 'second', prompt: 1, priority: 0 }));
  expect(workOf(scheduler.step())).toEqual(['first: 1', 'second: 1']);
});

test('a cache that shrinks preempts until the rest fits, and goes on', () => {
  const scheduler = startScheduler({ blocks: 20 });
  for (const name of ['a', 'b', 'c']) scheduler.add(sequenceOf({ name, prompt: 33 }));
  scheduler.step();
  scheduler.kv.resize(7);
  const plan = scheduler.step();
  expect(namesOf(plan.preempted)).toEqual(['c']);
  expect(workOf(plan)).toEqual(['a: 1', 'b: 1']);
  expect(scheduler.kv.usage()).toBeCloseTo(6 / 7);
});

test('what needs more blocks than exist waits for ever, and those behind it too', () => {
  const scheduler = startScheduler({ blocks: 4 });
  scheduler.add(sequenceOf({ name: 'endless', prompt: 60, tokens: 40 }));
  for (let steps = 0; steps < 20; steps += 1) scheduler.step();
  scheduler.add(sequenceOf({ name: 'behind', prompt: 1 }));
  const plan = scheduler.step();
  expect(plan).toMatchObject({ work: [], preempted: [] });
  expect(namesOf(scheduler.waiting())).toEqual(['endless', 'behind']);
});

test('a prompt is found again, but for its last token, and by no one else', () => {
  const scheduler = startScheduler();
  const repeated = { prompt: 48, tokens: 1, prefixCaching: true };
  scheduler.add(sequenceOf({ name: 'first', ...repeated }));
  scheduler.step();
  scheduler.add(sequenceOf({ name: 'again', ...repeated }));
  scheduler.add(sequenceOf({ name: 'other', ...repeated, topic: 1 }));
  scheduler.add(sequenceOf({ name: 'without', ...repeated, prefixCaching: false }));
  expect(workOf(scheduler.step())).toEqual(['again: 16', 'other: 48', 'without: 36']);
});

test('choices of one request share the prompt in the step that computes it', () => {
  const scheduler = startScheduler({ blocks: 5 });
  for (const name of ['a', 'b', 'c']) {
    scheduler.add(sequenceOf({ name, prompt: 33, prefixCaching: true }));
  }
  expect(workOf(scheduler.step())).toEqual(['a: 33', 'b: 1', 'c: 1']);
  expect(scheduler.kv.usage()).toBe(1);
});

test('a preempted sequence finds its own blocks, where no one needed them', () => {
  const scheduler = startScheduler({ blocks: 6 });
  scheduler.add(sequenceOf({ name: 'a', prompt: 32, tokens: 2, topic: 1, prefixCaching: true }));
  scheduler.add(sequenceOf({ name: 'b', prompt: 64, tokens: 9, topic: 2, prefixCaching: true }));
  scheduler.step();
  expect(namesOf(scheduler.step().preempted)).toEqual(['b']);
  const [resumed] = scheduler.step().admitted;
  // One of its four blocks went to `a`: the last one.
  expect(resumed).toMatchObject({ sequence: { name: 'b' }, cachedTokens: 48 });
});

test('blocks whose content was never computed are not found', () => {
  const scheduler = startScheduler();
  const aborted = sequenceOf({ name: 'aborted', prompt: 48, prefixCaching: true });
  scheduler.add(aborted);
  scheduler.plan();
  aborted.over = true;
  scheduler.add(sequenceOf({ name: 'again', prompt: 48, prefixCaching: true }));
  expect(workOf(scheduler.step())).toEqual(['again: 48']);
});
