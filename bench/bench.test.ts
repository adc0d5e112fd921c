/** The whole command, with as little of each as there is: its figures are worth nothing, its answers all. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import type { RunResult } from './result.ts';

it('measures the paths beside each other, and writes a report', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-bench-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const flags = ['--quick', '--any-noise', '--rounds', '1', '--only', 'open-20'];
  const main = join(import.meta.dirname, 'main.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [
    main,
    ...flags,
    '--report',
    folder,
  ]);
  expect(stdout).toContain('--only open-20 --rounds 1 --seed');
  const report = JSON.parse(await readFile(join(folder, 'report.json'), 'utf8')) as RunResult;
  expect(report.failures).toEqual([]);
  expect(report.samples.map(({ path }) => path)).toEqual(['direct', 'proxy', 'floor', 'qarr']);
  for (const { figures, slice } of report.samples) {
    expect(slice?.whole).toBeGreaterThan(0);
    expect(slice?.tokens).toBe(45 * (slice?.whole ?? 0));
    expect(figures.addedTtftP50).toEqual(expect.any(Number));
  }
  const [figures = {}] = report.samples.flatMap((one) => (one.path === 'qarr' ? one.figures : []));
  expect(figures.cpuPerToken).toBeCloseTo(
    (figures.cpuPerTokenApi ?? 0) +
      (figures.cpuPerTokenWorker ?? 0) +
      (figures.cpuPerTokenRedis ?? 0),
  );
  expect(figures.writesPerToken).toBeGreaterThan(0.1);
  expect(figures.subscribePerJob).toBe(0);
  expect(await readdir(folder)).toEqual(
    expect.arrayContaining(['index.html', 'report.json', 'report.md']),
  );
});
