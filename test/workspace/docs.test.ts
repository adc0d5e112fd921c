/** The documentation says what the code does, where that can be compared. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_TABLE } from '@qarr/router-core';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

it('names every error code with its status', () => {
  const rows = read('docs/api.md')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  for (const [code, { httpStatus }] of Object.entries(ERROR_TABLE)) {
    const row = rows.find((line) => line.includes(`\`${code}\``));
    expect(row, code).toContain(String(httpStatus));
  }
});

it('names the scripts of the README', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'demo', 'test']));
  for (const [, script = ''] of read('README.md').matchAll(/npm (?:run )?(start|test|demo)/g)) {
    expect(scripts).toHaveProperty(script);
  }
});

it('links only to files that exist', () => {
  for (const page of ['README.md', 'docs/api.md', 'docs/routing.md', 'docs/configuration.md']) {
    for (const [, target = ''] of read(page).matchAll(/\]\((?!http)([^)#]+)\)/g)) {
      const path = join(page, '..', target);
      expect(() => readFileSync(join(ROOT, path), { flag: 'r' }), path).not.toThrow(/ENOENT/);
    }
  }
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}
