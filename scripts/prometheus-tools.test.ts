import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { needsPrometheusTools, providePrometheusTools } from './prometheus-tools.mjs';

test.each([
  [{ name: 'setup', extra: [] }, true],
  [{ name: 'test', extra: [] }, true],
  [{ name: 'test', extra: ['--project', 'unit'] }, true],
  [{ name: 'test', extra: ['--project', 'e2e'] }, false],
  [{ name: 'up', extra: [] }, false],
])('are needed for %o: %s', (command, needed) => {
  expect(needsPrometheusTools(command)).toBe(needed);
});

test('are found on the PATH or where set-up unpacks them, and else nobody gets them unasked', async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'qarr-prometheus-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const put = (folder: string, tool: string) => {
    mkdirSync(path.join(root, folder), { recursive: true });
    const file = path.join(root, folder, tool);
    writeFileSync(file, '');
    chmodSync(file, 0o755);
  };
  const started: string[] = [];
  const provide = () =>
    providePrometheusTools({
      root,
      // Whoever builds without a network sets it as well.
      env: { CI: 'true', PATH: `/nowhere:${path.join(root, 'bin')}` },
      stops: { throwIfRequested: () => {}, onRequest: () => () => {}, stop: () => {} },
      progress: { start: (what: string) => void started.push(what), done: () => {} },
      extra: [],
    });
  put('bin', 'promtool');
  put('bin', 'amtool');
  expect(await provide()).toBe('no promtool (npm run setup -- --with-prometheus gets it)');
  put('.qarr/prometheus-tools/usr/bin', 'prometheus-alertmanager');
  expect(await provide()).toBe('promtool');
  expect(started).toEqual([]);
});

test.each([
  [{ QARR_REQUIRE_PROMETHEUS: '1' }, []],
  [{}, ['--with-prometheus']],
])('that cannot be had leave nothing behind, asked for by %j %j', async (env, extra) => {
  const root = mkdtempSync(path.join(tmpdir(), 'qarr-prometheus-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const started: string[] = [];
  const had = await providePrometheusTools({
    root,
    // No apt-get is found.
    env: { PATH: '/nowhere', ...env },
    stops: { throwIfRequested: () => {}, onRequest: () => () => {}, stop: () => {} },
    progress: { start: (what: string) => void started.push(what), done: () => {} },
    extra,
  });
  expect(had).toContain('no promtool');
  expect(started.length).toBe(existsSync('/usr/bin/apt-get') ? 1 : 0);
  expect(existsSync(path.join(root, '.qarr', 'prometheus-tools'))).toBe(false);
});
