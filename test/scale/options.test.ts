import { expect, test } from 'vitest';
import { readOptions } from './options.ts';

const drawSeed = () => 'drawn';

test('has a default for everything, and says again what was typed', () => {
  const read = readOptions(['--redis', 'cluster', '--ending', 'killed'], drawSeed);
  expect(read).toMatchObject({
    kind: 'run',
    options: { seed: 'drawn', redis: 'cluster', ending: 'killed', workers: 3, seconds: 30 },
  });
  if (read.kind !== 'run') throw new Error('refused');
  expect(
    readOptions(
      read.options.flags.flatMap((flag) => flag.split(' ')),
      drawSeed,
    ),
  ).toEqual(read);
});

test.each([
  [['--redis', 'none'], '--redis must be one of single, cluster, sentinel'],
  [['--ending', 'late'], '--ending must be one of orderly, together, killed'],
  [['--workers', '1'], '--workers must be a whole number from 2 to 16'],
  [['--slots', '1.5'], '--slots must be a whole number from 1 to 64'],
])('refuses %s', (args, message) => {
  expect(readOptions(args, drawSeed)).toEqual({ kind: 'refused', message });
});
