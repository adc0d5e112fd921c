import { FileStoreError } from '@qarr/file-store';
import type { Commit } from '@qarr/job-store';
import { describe, expect, it } from 'vitest';
import { createCollector } from './collecting.ts';
import { createHeldOutcomes } from './held-outcomes.ts';
import type { HeldOutcomes } from './held-outcomes.ts';
import { NO_USAGE } from './outcome-line.ts';
import type { LineOutcome } from './outcome-line.ts';

/** A run whose file store and commits are the test's; what is committed comes into `commits`. */
function runOf({
  write = async () => {},
  answer = 'ok',
  segments = 0,
  held = createHeldOutcomes({ lines: 12, bytes: 400 }),
}: {
  write?: () => Promise<void>;
  answer?: string;
  segments?: number;
  held?: HeldOutcomes;
} = {}) {
  const commits: Commit[] = [];
  let clockMs = 0;
  let number = 0;
  const run = {
    batchId: 'batch_1',
    term: { epoch: 7, now: () => clockMs, nextNumber: () => (number += 1) },
    deps: {
      config: { commit: { lines: 3, bytes: 100, waitMsMax: 10_000 } },
      files: { write },
      held,
      metrics: { committed() {} },
      store: {
        batchRuns: {
          async commit(_: string, __: number, commit: Commit) {
            commits.push(commit);
            return answer;
          },
        },
      },
    },
    log: { warn() {}, info() {} },
  };
  const collector = createCollector(run as never, { beganAt: 0, segments });
  return { collector, commits, held, passMs: (ms: number) => void (clockMs += ms) };
}

function outcome(line: number, text = '{}'): LineOutcome {
  return { line, isCompleted: true, text, usage: { ...NO_USAGE, completionTokens: 2 } };
}

describe('finished lines', () => {
  it('are due when there are enough, when they are large, when the first has waited, and in the end', () => {
    const { collector, passMs } = runOf();
    expect(collector.isDue({ hasMore: false })).toBe(false);
    collector.add(outcome(0));
    expect(collector.isDue({ hasMore: true })).toBe(false);
    expect(collector.isDue({ hasMore: false })).toBe(true);
    passMs(500);
    expect(collector.isDue({ hasMore: true })).toBe(true);

    const many = runOf().collector;
    for (const line of [0, 1, 2]) many.add(outcome(line));
    expect(many.isDue({ hasMore: true })).toBe(true);
    const large = runOf().collector;
    large.add(outcome(0, 'x'.repeat(100)));
    expect(large.isDue({ hasMore: true })).toBe(true);
  });

  it('wait longer for others in a batch that takes long, but not for ever', () => {
    const { collector, passMs } = runOf();
    passMs(86_400_000);
    collector.add(outcome(0));
    passMs(9_999);
    expect(collector.isDue({ hasMore: true })).toBe(false);
    passMs(1);
    expect(collector.isDue({ hasMore: true })).toBe(true);
  });

  it('wait longer where the batch has many segments', async () => {
    const { collector, passMs } = runOf({ segments: 1_000 });
    collector.add(outcome(0));
    passMs(500);
    expect(collector.isDue({ hasMore: true })).toBe(true);
    await collector.commit();
    collector.add(outcome(1));
    passMs(500);
    expect(collector.isDue({ hasMore: true })).toBe(false);
    passMs(10);
    expect(collector.isDue({ hasMore: true })).toBe(true);
  });

  it('are committed each once, also those that come while others are being written', async () => {
    const writing = Promise.withResolvers<void>();
    const { collector, commits } = runOf({ write: () => writing.promise });
    collector.add(outcome(0));
    const first = collector.commit();
    collector.add(outcome(1));
    writing.resolve();
    expect(await first).toEqual([0]);
    expect(await collector.commit()).toEqual([1]);
    expect(commits.map(({ lines, segment, usage }) => [lines, segment.name, usage])).toEqual([
      [[0], 'batches/batch_1/7-1', { ...NO_USAGE, completionTokens: 2 }],
      [[1], 'batches/batch_1/7-2', { ...NO_USAGE, completionTokens: 2 }],
    ]);
  });

  it('are kept while the file store has no room, and nothing is fed meanwhile', async () => {
    let isFull = true;
    const { collector, commits, held } = runOf({
      async write() {
        if (isFull) throw new FileStoreError('full', 'no room');
      },
    });
    for (let line = 0; line < 3; line += 1) collector.add(outcome(line));
    collector.add(outcome(3, 'x'.repeat(390)));
    expect(await collector.commit()).toEqual([]);
    expect([held.isBlocked(), held.isFull()]).toEqual([true, false]);
    expect(collector.isDue({ hasMore: false })).toBe(false);
    isFull = false;
    collector.add(outcome(4));
    expect(await collector.commit()).toEqual([0, 1, 2, 3, 4]);
    expect(commits).toHaveLength(1);
    collector.add(outcome(5, 'x'.repeat(10)));
    expect(held.isBlocked()).toBe(false);
  });

  it('are limited over all batches, whichever hold them, by their bytes as well', async () => {
    const held = createHeldOutcomes({ lines: 12, bytes: 400 });
    const [few, many] = [runOf({ held }).collector, runOf({ held }).collector];
    for (let line = 0; line < 2; line += 1) few.add(outcome(line));
    for (let line = 0; line < 10; line += 1) many.add(outcome(line));
    expect([held.isFull(), held.isBlocked()]).toEqual([true, true]);
    // The one that holds more makes room.
    expect(few.isDue({ hasMore: true })).toBe(false);
    expect(many.isDue({ hasMore: true })).toBe(true);
    await many.commit();
    expect(held.isBlocked()).toBe(false);
    few.add(outcome(2, 'é'.repeat(200)));
    expect([held.isFull(), few.isDue({ hasMore: true })]).toEqual([true, true]);
    few.close();
    expect(held.isFull()).toBe(false);
  });

  it('make room before there are enough of one batch', () => {
    const held = createHeldOutcomes({ lines: 4, bytes: 400 });
    const [two, another] = [runOf({ held }).collector, runOf({ held }).collector];
    for (const line of [0, 1]) two.add(outcome(line));
    another.add(outcome(0));
    expect([two, another].map((one) => one.isDue({ hasMore: true }))).toEqual([false, false]);
    another.add(outcome(1));
    expect([two, another].map((one) => one.isDue({ hasMore: true }))).toEqual([true, true]);
  });

  it.each(['fenced', 'gone', 'conflict'])(
    'end the run where they are refused: %s',
    async (answer) => {
      const { collector } = runOf({ answer });
      collector.add(outcome(0));
      await expect(collector.commit()).rejects.toThrow(answer);
    },
  );
});
