/** The documentation says what the code does, where that can be compared. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_TABLE } from '@qarr/router-core';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

it('names every error code with its status', () => {
  const rows = read('docs/api.md')
    .split('\n')
    .filter((line) => line.startsWith('|'));
  const wrong = Object.entries(ERROR_TABLE).filter(([code, { httpStatus }]) => {
    const row = rows.find((line) => line.includes(`\`${code}\``));
    return row === undefined || !row.includes(String(httpStatus));
  });
  expect(wrong).toEqual([]);
});

it('names the scripts of the README', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(['start', 'demo', 'test']));
  for (const [, script = ''] of read('README.md').matchAll(/npm (?:run )?(start|test|demo)/g)) {
    expect(scripts).toHaveProperty(script);
  }
});

it('links only to files that exist', () => {
  const pages = [
    'README.md',
    'docs/api.md',
    'docs/chaos.md',
    'docs/keys.md',
    'docs/routing.md',
    'docs/configuration.md',
    'docs/conformance.md',
    'docs/overload.md',
    'docs/responses.md',
    'docs/security.md',
    'deploy/prometheus/README.md',
    'packages/client/README.md',
    'docs/simulator.md',
    'docs/webhooks.md',
  ];
  const targets = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!http)([^)#]+)\)/g)].map(([, to = '']) => join(page, '..', to)),
  );
  expect(targets.length).toBeGreaterThan(5);
  expect(targets.filter((target) => !existsSync(join(ROOT, target)))).toEqual([]);
});

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}
