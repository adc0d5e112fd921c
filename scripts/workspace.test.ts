import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { installationStamp, workspaceFolders } from './workspace.mjs';

let root: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'qarr workspace '));
  write(
    'pnpm-workspace.yaml',
    'packages:\n  - apps/*\n  - "test"\n\n# more\nnodeVersion: 24.0.0\n',
  );
  write('pnpm-lock.yaml', 'lockfileVersion: 9\n');
  for (const folder of ['', 'apps/api', 'test', 'elsewhere']) {
    write(path.join(folder, 'package.json'), '{}');
  }
  mkdirSync(path.join(root, 'apps', 'empty'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}

describe('the workspace', () => {
  test('is the root and the listed folders that have a package.json', () => {
    expect(workspaceFolders(root).map((folder) => path.relative(root, folder))).toEqual([
      '',
      'apps/api',
      'test',
    ]);
  });

  test.each(['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', 'apps/api/package.json'])(
    'needs another installation when %s changes',
    (file) => {
      const before = installationStamp(root);
      expect(installationStamp(root)).toBe(before);
      write(file, file.endsWith('json') ? '{"private":true}' : 'packages:\n  - apps/*\n  - test\n');
      expect(installationStamp(root)).not.toBe(before);
    },
  );

  test('needs no other installation when a source file changes', () => {
    const before = installationStamp(root);
    write('apps/api/src/main.ts', '');
    write('elsewhere/package.json', '{"private":true}');
    expect(installationStamp(root)).toBe(before);
  });
});
