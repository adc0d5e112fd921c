import { expect, test } from 'vitest';
import {
  createRateMeter,
  durationText,
  progressBar,
  progressText,
  timeLeftMs,
} from './progress.ts';
import type { Progress } from './progress.ts';
import { createReporter } from './reporter.ts';

const HALF: Progress = {
  status: 'in_progress',
  total: 50_000,
  completed: 24_990,
  failed: 10,
  tiers: { precise: 4_000, fast: 21_000 },
  rate: 118.4,
  leftMs: 211_000,
};

test('the rate is that of the last minute', () => {
  const meter = createRateMeter();
  expect(meter.measure(500, 0)).toBeNull();
  expect(meter.measure(510, 999)).toBeNull();
  expect(meter.measure(600, 2_000)).toBe(50);
  for (let second = 3; second <= 200; second += 1) meter.measure(600, second * 1_000);
  expect(meter.measure(600, 201_000)).toBe(0);
  expect(meter.measure(1_200, 202_000)).toBeCloseTo(10, 0);
});

test('time is left where something moves, and its end is known', () => {
  expect(timeLeftMs({ total: 100, done: 50, rate: 5 })).toBe(10_000);
  expect(timeLeftMs({ total: 100, done: 100, rate: 5 })).toBe(0);
  expect(timeLeftMs({ total: null, done: 50, rate: 5 })).toBeNull();
  expect(timeLeftMs({ total: 100, done: 50, rate: 0 })).toBeNull();
  expect([1, 59_000, 61_000, 3_599_500, 7_260_000].map(durationText)).toEqual([
    '1s',
    '59s',
    '1m01s',
    '1h00m',
    '2h01m',
  ]);
});

test('the text tells what is done, how fast, and by whom', () => {
  expect(progressText(HALF)).toBe(
    'in_progress, 25,000/50,000 (50%), 118/s, 3m31s left, 10 failed, fast 21,000, precise 4,000',
  );
  expect(progressText({ ...HALF, status: 'validating', total: null })).toBe('validating');
});

test('the bar is as long as what is done, and no longer than the window', () => {
  expect(progressBar(HALF, 200)).toMatch(/^█{12}░{12} 25,000\/50,000 \(50%\) {2}118\/s /);
  expect(progressBar({ ...HALF, completed: 49_990 }, 200)).toMatch(
    /^█{24} 50,000\/50,000 \(100%\)/,
  );
  expect(progressBar(HALF, 40)).toHaveLength(39);
  expect(progressBar({ ...HALF, status: 'finalizing' }, 200)).toMatch(/ finalizing$/);
});

function open({ isTTY }: { isTTY: boolean }) {
  let text = '';
  let nowMs = 0;
  const output = { isTTY, columns: 60, write: (more: string) => (text += more) };
  return {
    reporter: createReporter({ output, now: () => nowMs }),
    pass: (ms: number) => (nowMs += ms),
    /** With `<` for the escape character. */
    shown: () => text.replaceAll('\u001B', '<'),
  };
}

test('where nothing can be rewritten there is a line now and then, and one for each new status', () => {
  const { reporter, pass, shown } = open({ isTTY: false });
  for (let second = 0; second < 25; second += 1) {
    reporter.progress({ ...HALF, completed: second });
    reporter.note('no answer');
    pass(1_000);
  }
  reporter.progress({ ...HALF, status: 'finalizing' });
  reporter.stop();
  const lines = shown().split('\n');
  expect(lines.map((line) => line.split(',')[0])).toEqual([
    'in_progress',
    'in_progress',
    'in_progress',
    'finalizing',
    '',
  ]);
  expect(shown().replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
});

test('on a terminal one line is rewritten, and what is said stands above it', () => {
  const { reporter, pass, shown } = open({ isTTY: true });
  reporter.progress(HALF);
  pass(50);
  reporter.progress({ ...HALF, completed: 1 });
  reporter.line('batch batch_1');
  pass(100);
  reporter.progress({ ...HALF, completed: 49_990 });
  reporter.stop();
  const lines = shown().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^\r<\[2K█.*\r<\[2Kbatch batch_1$/);
  expect(lines[1]).toMatch(/^\r<\[2K█{12}.*\r<\[2K█{24}/);
  for (const drawn of shown().split(/\r<\[2K|\n/)) expect(drawn.length).toBeLessThan(60);
});
