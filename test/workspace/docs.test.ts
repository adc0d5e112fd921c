/** The documentation says what the code does, where that can be compared. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_TABLE, chatRequestSchema, completionRequestSchema } from '@qarr/router-core';
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

it("says of every field of OpenAI's surface whether it is heeded", () => {
  const documented: Record<string, string[]> = {};
  for (const line of sectionOf(read('docs/openai.md'), '## Fields').split('\n')) {
    const [, names = '', ...fates] = line.split('|').map((cell) => cell.trim());
    // What follows a colon says more of the fields before it, unless it begins with whose they are.
    const own = names.startsWith('of ') ? names.slice(names.indexOf(':')) : names.split(':', 1)[0];
    for (const [, name = ''] of (own ?? '').matchAll(/`(\w+)`/g)) {
      if (line.startsWith('|')) documented[name] = fates.slice(0, 2);
    }
  }
  const schemas: Fields[] = [chatRequestSchema.shape, completionRequestSchema.shape];
  const fields = [...new Set(schemas.flatMap((schema) => Object.keys(schema)))];
  expect(fields.length).toBeGreaterThan(70);
  expect(documented).toEqual(
    Object.fromEntries(fields.map((name) => [name, schemas.map((schema) => fate(schema[name]))])),
  );
});

type Fields = Readonly<Record<string, { readonly description?: string | undefined }>>;

function fate(field: Fields[string] | undefined): string {
  if (field === undefined) return 'ignored';
  const { description = '' } = field;
  if (description.startsWith('Not supported')) return 'refused';
  return description.startsWith('Accepted and ignored') ? 'ignored' : 'yes';
}

function sectionOf(page: string, heading: string): string {
  const [, section = ''] = page.split(`\n${heading}\n`);
  return section.split('\n## ', 1)[0] ?? '';
}

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
    'docs/batches.md',
    'docs/chaos.md',
    'docs/keys.md',
    'docs/routing.md',
    'docs/configuration.md',
    'docs/conformance.md',
    'docs/openai.md',
    'docs/operations.md',
    ...globSync('docs/architecture/*.md', { cwd: ROOT }),
    'docs/overload.md',
    'docs/performance.md',
    'docs/responses.md',
    'docs/security.md',
    'deploy/kubernetes/README.md',
    'docs/decisions/0017-kubernetes.md',
    'deploy/grafana/README.md',
    'deploy/prometheus/README.md',
    'docs/backpressure.md',
    'docs/metrics.md',
    ...globSync('docs/runbooks/*.md', { cwd: ROOT }),
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
