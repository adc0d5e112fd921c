import { expect, it } from 'vitest';
import { readOptions } from '../options.ts';
import { SCENARIOS } from './list.ts';

const read = (...args: string[]) => readOptions(args, () => 7);

it('measures all by default, with a seed that is drawn', () => {
  expect(read()).toEqual({
    kind: 'run',
    options: {
      isQuick: false,
      only: SCENARIOS.map(({ name }) => name),
      against: null,
      folder: '.qarr/bench',
      seed: 7,
      rounds: null,
      withLitellm: false,
      isStrict: false,
      writesDocs: false,
      takesAnyNoise: false,
      flags: [],
    },
  });
});

it('has scenarios of different names, and some that are quick', () => {
  const names = SCENARIOS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const parsed = read('--quick');
  const only = parsed.kind === 'run' ? parsed.options.only : [];
  expect(only.length).toBeGreaterThan(3);
  expect(only.length).toBeLessThan(names.length / 2);
});

it('takes names and beginnings of names, in the order of the scenarios', () => {
  expect(read('--only', 'one-token,paced-1')).toMatchObject({
    options: { only: ['paced-1', 'one-token'] },
  });
  expect(read('--only', 'backlog-*')).toMatchObject({
    options: { only: ['backlog-10', 'backlog-1000', 'backlog-100000'] },
  });
});

it('says again what was typed', () => {
  const flags = ['--quick', '--only', 'paced-1', '--rounds', '4', '--against', 'HEAD~1'];
  expect(read(...flags, '--seed', '9', '--strict')).toMatchObject({
    options: {
      flags: ['--quick', '--only paced-1', '--rounds 4', '--against HEAD~1'],
      seed: 9,
      rounds: 4,
      isStrict: true,
      against: 'HEAD~1',
    },
  });
});

it.each([
  [['--only', 'nothing'], 'there is no scenario nothing'],
  [['--only', ''], 'there is no scenario'],
  [['--only', 'x*'], 'there is no scenario x*'],
  [['--rounds', '0'], '--rounds must be'],
  [['--rounds', '1.5'], '--rounds must be'],
  [['--rounds', '101'], '--rounds must be'],
  [['--seed', '-1'], ''],
  [['--seed', '4294967296'], '--seed must be'],
  [['--against', ''], '--against must be'],
  [['--fast'], ''],
  [['paced-1'], ''],
])('refuses %j in one line', (args, message) => {
  const parsed = read(...args);
  expect(parsed).toMatchObject({ kind: 'refused', message: expect.stringContaining(message) });
  expect((parsed as { message: string }).message).not.toContain('\n');
});

it('explains itself', () => {
  expect(read('--help')).toEqual({ kind: 'help' });
});
