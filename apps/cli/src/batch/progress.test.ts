import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
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

const ERASE_LINE = '\u001B[2K';
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

test('the bar is as long as what is done, and stands above what came of it', () => {
  expect(progressBar(HALF)).toBe(
    `${'█'.repeat(12)}${'░'.repeat(12)}  25,000/50,000 (50%)  118/s  3m31s left\n` +
      '10 failed  fast 21,000  precise 4,000',
  );
  expect(progressBar({ ...HALF, completed: 49_990 })).toMatch(/^█{24} {2}50,000\/50,000 \(100%\)/);
  expect(progressBar({ ...HALF, status: 'finalizing' })).toMatch(/ finalizing\n/);
  expect(progressBar({ ...HALF, status: 'validating', total: null })).toBe(
    `${'░'.repeat(24)}  validating`,
  );
});

function open(terminal: { isTTY?: boolean; columns?: number }) {
  let nowMs = 0;
  const stream = new PassThrough({ encoding: 'utf8' });
  const output = Object.assign(stream, terminal);
  return {
    output,
    reporter: createReporter({ output, now: () => nowMs }),
    pass: (ms: number) => (nowMs += ms),
    /** What was written since the last time. */
    written: (): string => stream.read() ?? '',
  };
}

test.each([{}, { isTTY: true, columns: 0 }])(
  'where nothing can be rewritten there is a line now and then, and one for each new status: %o',
  (terminal) => {
    const { reporter, pass, written } = open(terminal);
    for (let second = 0; second < 25; second += 1) {
      reporter.progress({ ...HALF, completed: second });
      reporter.note('no answer');
      pass(1_000);
    }
    reporter.progress({ ...HALF, status: 'finalizing' });
    reporter.line('batch batch_1');
    reporter.progress({ ...HALF, status: 'finalizing', completed: 99 });
    reporter.stop();
    reporter.stop();
    const text = written();
    expect(text.split('\n').map((line) => line.split(',')[0])).toEqual([
      'in_progress',
      'in_progress',
      'in_progress',
      'finalizing',
      'batch batch_1',
      'finalizing',
      '',
    ]);
    expect(text.split('\n').at(-2)).toContain('109');
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  },
);

test('on a terminal the bar stays below what is said, and as wide as the window', () => {
  const { output, reporter, written } = open({ isTTY: true, columns: 80 });
  const frame = progressBar(HALF);
  reporter.note('uploading, 50%');
  expect(written()).toContain('uploading, 50%\n');
  reporter.progress(HALF);
  expect(written().split(ERASE_LINE).at(-1)).toContain(frame);
  reporter.line('batch batch_1');
  const text = written();
  expect(text).toContain('batch batch_1\n');
  expect(text.indexOf('batch_1')).toBeGreaterThan(text.lastIndexOf(ERASE_LINE));
  expect(text.indexOf(frame)).toBeGreaterThan(text.indexOf('batch_1'));
  output.columns = 40;
  output.emit('resize');
  const rows = stripVTControlCharacters(written()).split('\n');
  expect(rows.map((row) => row.length)).toEqual([40, 24, 37, 0]);
  reporter.note('no answer');
  written();
  reporter.stop();
  // Not the note; over what the terminal has echoed; and nothing is drawn any more.
  expect(written()).toContain('10 failed');
  reporter.progress(HALF);
  written();
  reporter.stop();
  expect(written().split('█')[0]).toContain(ERASE_LINE);
  output.columns = 80;
  output.emit('resize');
  expect(written()).toBe('');
});
