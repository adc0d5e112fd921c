import { expect, it } from 'vitest';
import { formatProblems, formatTable } from './table.ts';
import type { TableRow } from './table.ts';

const ROWS: readonly TableRow[] = [
  { section: 'answers', name: 'plain chat' },
  { section: 'interruptions', name: 'a rather long name of a row' },
];
const COLUMNS = [
  { name: 'current', verdicts: [{ kind: 'ok' }, { kind: 'not applicable' }] },
  { name: 'a', verdicts: [{ kind: 'ok' }, { kind: 'failed', problems: ['one', 'two'] }] },
] as const;

it('shows a row per behaviour and a column per engine', () => {
  expect(formatTable(ROWS, COLUMNS).split('\n').slice(0, -2)).toEqual([
    '                               current  a',
    '',
    'answers',
    '  plain chat                   ok       ok',
    '',
    'interruptions',
    '  a rather long name of a row  n.a.     FAILED',
  ]);
});

it('says what is wrong, and where', () => {
  const where = 'a: a rather long name of a row';
  expect(formatProblems(ROWS, COLUMNS)).toEqual([`${where}: one`, `${where}: two`]);
});
