import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { needsChromium, provideChromium } from './chromium.mjs';

test.each([
  [[], true],
  [['--project', 'unit'], false],
  [['--project=e2e', '--bail'], false],
  [['--project', 'unit', '--project=integration'], true],
  [['test/integration/client.test.ts'], true],
])('is needed for %o: %s', (args, needed) => {
  expect(needsChromium(args)).toBe(needed);
});

test('is found on the PATH, unless it is named', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'qarr-chromium-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'google-chrome');
  writeFileSync(file, '');
  chmodSync(file, 0o755);
  const provide = (env: Record<string, string>) =>
    provideChromium({
      root: folder,
      env,
      stops: { throwIfRequested: () => {}, onRequest: () => () => {}, stop: () => {} },
      progress: { start: () => {}, done: () => {} },
    });
  const found = { summary: 'google-chrome', env: { QARR_CHROMIUM: file } };
  expect(await provide({ PATH: `/nowhere:${folder}` })).toEqual(found);
  expect(await provide({ PATH: folder, QARR_CHROMIUM: '/mine' })).toEqual({
    summary: 'Chromium of QARR_CHROMIUM',
    env: {},
  });
});
