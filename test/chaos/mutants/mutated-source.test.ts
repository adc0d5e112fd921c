import { readFile, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { copySource } from './mutated-source.ts';

const ROOT = join(import.meta.dirname, '../../..');
const FILE = 'packages/job-store/src/keys.ts';

test('plants a bug in a copy whose packages are its own', async () => {
  const edit = { file: FILE, text: "root = 'qarr'", replacement: "root = 'other'" };
  const copy = await copySource(ROOT, [edit]);
  onTestFinished(() => copy.remove());
  expect(await readFile(join(copy.path, FILE), 'utf8')).toContain("root = 'other'");
  expect(await readFile(join(ROOT, FILE), 'utf8')).toContain("root = 'qarr'");
  const linked = await realpath(join(copy.path, 'apps/api/node_modules/@qarr/job-store'));
  expect(linked).toBe(await realpath(join(copy.path, 'packages/job-store')));
  const outside = await realpath(join(copy.path, 'apps/api/node_modules/fastify'));
  expect(outside).toBe(await realpath(join(ROOT, 'apps/api/node_modules/fastify')));
});

test.each([
  ['is not there', 'no such text'],
  ['is there more than once', 'string'],
])('refuses a bug whose place %s', async (_name, text) => {
  await expect(copySource(ROOT, [{ file: FILE, text, replacement: '' }])).rejects.toThrow(
    'not once',
  );
});
