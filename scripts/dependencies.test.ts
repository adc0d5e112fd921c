import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensureDependencies } from './dependencies.mjs';

const stops = { throwIfRequested: () => {}, onRequest: () => () => {}, stop: () => {} };
const progress = { start: () => {}, done: () => {} };

let root: string;
let calls: string;

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'qarr dependencies '));
  calls = path.join(root, 'calls');
  writeFileSync(path.join(root, 'package.json'), '{"packageManager":"pnpm@12.1.0+sha512.abc"}');
  writeFileSync(path.join(root, 'pnpm-workspace.yaml'), 'packages:\n  - apps/*\n');
  writeFileSync(path.join(root, 'pnpm-lock.yaml'), '');
  mkdirSync(path.join(root, 'bin'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** An npx that notes its arguments, and then does what the shell script says. */
function fakeNpx(script: string): void {
  const file = path.join(root, 'bin', 'npx');
  writeFileSync(file, `#!/bin/sh\necho "$@" >> calls\n${script}\n`);
  chmodSync(file, 0o755);
}

function ensure(): Promise<string> {
  const env = { PATH: `${path.join(root, 'bin')}:/usr/bin:/bin` };
  const localNode = path.join(root, 'node_modules', '.bin', 'node');
  return ensureDependencies({ root, localNode, env, stops, progress });
}

function installs(): string[] {
  return existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\n') : [];
}

const INSTALL = 'mkdir -p node_modules/.bin && touch node_modules/.bin/node';

describe('ensureDependencies', () => {
  test('installs by exactly the pinned pnpm, once', async () => {
    fakeNpx(INSTALL);
    expect(await ensure()).toBe('dependencies are installed');
    expect(await ensure()).toBe('dependencies are current');
    expect(installs()).toHaveLength(1);
    expect(installs()[0]).toMatch(/^--yes pnpm@12\.1\.0 install --frozen-lockfile\b/);
  });

  test('installs again when the lockfile changed, or something is gone', async () => {
    fakeNpx(INSTALL);
    await ensure();
    writeFileSync(path.join(root, 'pnpm-lock.yaml'), 'changed');
    await ensure();
    rmSync(path.join(root, 'node_modules', '.bin'), { recursive: true });
    await ensure();
    expect(installs()).toHaveLength(3);
  });

  test('says what to do after a failure, and does not take it for an installation', async () => {
    fakeNpx(`${INSTALL}; exit 3`);
    await expect(ensure()).rejects.toThrow(/pnpm@12\.1\.0 ended with 3.*check the network/);
    fakeNpx(INSTALL);
    await ensure();
    expect(installs()).toHaveLength(2);
  });
});
