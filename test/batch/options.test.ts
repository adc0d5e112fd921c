import { expect, test } from 'vitest';
import { readOptions } from './options.ts';

const drawSeed = () => 'drawn';

test('draws a seed, and has a default for everything', () => {
  expect(readOptions([], drawSeed)).toMatchObject({
    kind: 'run',
    options: { seed: 'drawn', lines: 1_000, kills: 0, streams: 10, engines: 'instant' },
  });
});

test('says again what was typed', () => {
  const read = readOptions(['--lines', '50000', '--kill', '20', '--seed', '7'], drawSeed);
  expect(read).toMatchObject({ options: { seed: '7', lines: 50_000, kills: 20 } });
  if (read.kind !== 'run') throw new Error('refused');
  expect(read.options.flags).toContain('--kill 20');
});

test.each([
  [['--lines', '0'], '--lines must be a whole number from 1 to 50000'],
  [['--lines', '50001'], '--lines must be a whole number from 1 to 50000'],
  [['--kill', 'all'], '--kill must be a whole number from 0 to 1000'],
  [['--streams', '1.5'], '--streams must be'],
  [['--engines', 'real'], '--engines must be instant or paced'],
])('refuses %s', (args, message) => {
  const read = readOptions(args, drawSeed);
  expect(read).toMatchObject({ kind: 'refused', message: expect.stringContaining(message) });
});
