import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { unaligned, withTables } from './configuration-page.ts';

const FILE = new URL('../../docs/configuration.md', import.meta.url);

it('lists each variable of each process as its schema has it, and no other (npm run docs writes it)', () => {
  const page = readFileSync(FILE, 'utf8');
  const made = withTables(page);
  if (process.env['QARR_WRITE_DOCS'] === '1') writeFileSync(FILE, made);
  else expect(unaligned(page)).toBe(unaligned(made));
});
