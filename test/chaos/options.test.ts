import { expect, test } from 'vitest';
import { readOptions } from './options.ts';

const drawSeed = () => 'drawn';

test('draws a seed, and takes all faults', () => {
  const read = readOptions([], drawSeed);
  expect(read).toMatchObject({
    kind: 'run',
    options: { seed: 'drawn', minutes: 1, nemesis: 'faults', flags: [] },
  });
});

test('says again what was typed', () => {
  const args = ['--faults', 'kill-worker,kill-redis', '--seed', '7', '--minutes', '0.5'];
  const read = readOptions(args, drawSeed);
  expect(read).toMatchObject({
    options: { seed: '7', minutes: 0.5, flags: ['--faults kill-worker,kill-redis'] },
  });
  if (read.kind !== 'run') throw new Error('refused');
  expect(read.options.faults.map(({ name }) => name)).toEqual(['kill-worker', 'kill-redis']);
});

test.each([
  [['--minutes', '0'], '--minutes must be a number up to 1440'],
  [['--rate', 'many'], '--rate must be a number up to 1000'],
  [['--world', 'huge'], '--world must be full or small'],
  [['--faults', 'kill-everybody'], '--faults: there is no kill-everybody'],
  [['--only', 'luck'], '--only must be roll or none'],
  [['--only', 'roll', '--faults', 'kill-api'], '--only and --faults exclude each other'],
  [['--without', 'jobs'], '--without may name keys,deletes,lists'],
])('refuses %s', (args, message) => {
  expect(readOptions(args, drawSeed)).toEqual({ kind: 'refused', message });
});
