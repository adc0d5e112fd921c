import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { flagTable } from '../config.ts';
import { faultTable } from './fault-page.ts';
import { FAULTS } from './fault-table.ts';

const PAGE = readFileSync(new URL('../../../../docs/simulator.md', import.meta.url), 'utf8');

test.for(['before', 'stream', 'engine'] as const)(
  'the page shows the faults of the family %s as they are, in order',
  (family) => {
    expect(plain(PAGE)).toContain(plain(faultTable(family)));
  },
);

test('the page names no fault that there is not', () => {
  const faults = PAGE.slice(PAGE.indexOf('# Faults'));
  const rows = [...faults.matchAll(/^\| `(\w+)` +\| (?:whole|late|damaged|none) /gm)];
  expect(rows.map(([, name]) => name)).toEqual(Object.keys(FAULTS));
});

test('the page shows the flags as they are', () => {
  expect(plain(PAGE)).toContain(plain(flagTable()));
});

/** Without what a formatter pads tables with. */
function plain(text: string): string {
  return text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
}
