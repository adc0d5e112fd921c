import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { findProfile, PROFILE_NAMES } from '../profiles.ts';
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

test.for(PROFILE_NAMES)('the page shows the profile %s as it is', (name) => {
  const profile = findProfile(name);
  const row = [
    `\`${name}\``,
    profile?.weightsMs,
    profile?.tokenMs,
    profile?.kvPerThousandTokensMs,
    profile?.overheadMs,
    profile?.kvTokensMax,
    profile?.batchedTokensMax,
  ];
  expect(plain(PAGE)).toContain(`| ${row.join(' | ')} |`);
});

/** Without what a formatter pads tables with. */
function plain(text: string): string {
  return text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');
}
