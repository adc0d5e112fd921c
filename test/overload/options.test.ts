import { expect, test } from 'vitest';
import { readOptions } from './options.ts';

const drawSeed = () => 'drawn';

test('runs everything, a minute each, and draws a seed', () => {
  expect(readOptions([], drawSeed)).toEqual({
    kind: 'run',
    options: {
      seed: 'drawn',
      factors: [0.5, 1, 2, 5, 10],
      levelMs: 60_000,
      parts: ['levels', 'batch', 'kill'],
      folder: '.qarr/overload',
      flags: [],
    },
  });
});

test('says again what was typed', () => {
  const args = ['--only', 'levels', '--levels', '1,2.5', '--level-seconds', '7', '--seed', 'x'];
  expect(readOptions(args, drawSeed)).toMatchObject({
    options: {
      seed: 'x',
      factors: [1, 2.5],
      levelMs: 7_000,
      parts: ['levels'],
      flags: ['--only levels', '--levels 1,2.5', '--level-seconds 7'],
    },
  });
});

test.each([
  // Five levels, the step down and four turns.
  [[], 60_000],
  [['--only', 'levels'], 100_000],
  [['--only', 'levels', '--levels', '2'], 300_000],
  [['--only', 'batch'], 150_000],
])('divides ten minutes by what is run: %j', (args, levelMs) => {
  expect(readOptions(['--minutes', '10', ...args], drawSeed)).toMatchObject({
    options: { levelMs },
  });
});

test.each([
  [['--only', 'luck'], '--only must be levels, batch or kill'],
  [['--levels', '1,21'], '--levels must be up to 20 numbers up to 20'],
  [['--levels', '1,,2'], '--levels must be up to 20 numbers up to 20'],
  [['--level-seconds', '0'], '--level-seconds must be a number up to 3600'],
  [['--minutes', 'ten'], '--minutes must be a number up to 1440'],
  [['--minutes', '1', '--level-seconds', '1'], '--minutes and --level-seconds exclude each other'],
])('refuses %j', (args, message) => {
  expect(readOptions(args, drawSeed)).toEqual({ kind: 'refused', message });
});
