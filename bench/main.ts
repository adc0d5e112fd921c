/**
 * `npm run bench`: how fast QARR is, beside its floor and its peers. Read this first, then `run.ts` (the order
 * of a run), `scenarios/list.ts` (what is measured), `report/figures.ts` (what each figure means),
 * `report/targets.ts` (what is promised) and `docs/performance.md`.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeVersion, runCommand, say } from '../test/harness/command.ts';
import { commitOf, setUpSources } from './against.ts';
import type { OtherSources } from './against.ts';
import { USAGE, readOptions } from './options.ts';
import type { BenchOptions } from './options.ts';
import { createQarrPath } from './paths/qarr.ts';
import { drawCharts } from './report/charts.ts';
import { compare } from './report/comparison.ts';
import { readMachineInfo } from './report/machine.ts';
import { formatReport, verdictOf } from './report/markdown.ts';
import type { Report } from './report/markdown.ts';
import { summarise } from './report/summary.ts';
import { judge } from './report/targets.ts';
import { writeDocs, writeReport } from './report/write.ts';
import type { RunResult } from './result.ts';
import { runBench } from './run.ts';

const ROOT = join(import.meta.dirname, '..');
const EXIT_FAILED = 1;
const EXIT_MISUSED = 2;

await runCommand('bench', {
  usage: USAGE,
  parsed: readOptions(process.argv.slice(2), () => randomBytes(4).readUInt32LE()),
  run,
});

async function run(options: BenchOptions): Promise<number> {
  const { against, folder, seed, flags } = options;
  const commit = against === null ? null : await commitOf(ROOT, against);
  if (against !== null && commit === null) {
    process.stderr.write(`bench: --against: there is no commit ${against}\n`);
    return EXIT_MISUSED;
  }
  const other = commit === null ? null : await setUpSources(ROOT, commit);
  try {
    const otherName = commit === null ? null : `qarr@${commit}`;
    const result = await measure(options, { other, otherName });
    const summary = summarise(result.samples);
    const report: Report = {
      commit: await codeVersion(ROOT),
      command: `npm run bench -- ${[...flags, `--seed ${seed}`].join(' ')}`,
      against: otherName,
      machine: await readMachineInfo(),
      result,
      summary,
      verdicts: judge(summary),
      charts: drawCharts(summary),
    };
    say(`\n${formatReport(report, { imageFolder: '.' })}`);
    await writeReport(report, folder);
    say(`written: ${join(folder, 'index.html')}`);
    if (options.writesDocs) await writeDocs(report, join(ROOT, 'docs'));
    say(verdictOf(report));
    return exitCodeOf(report, options);
  } finally {
    other?.stop();
  }
}

async function measure(
  options: BenchOptions,
  { other, otherName }: { other: OtherSources | null; otherName: string | null },
): Promise<RunResult> {
  const folder = await mkdtemp(join(tmpdir(), 'qarr-bench-'));
  const qarrs = [
    createQarrPath({ name: 'qarr', root: ROOT }),
    ...(other === null || otherName === null
      ? []
      : [createQarrPath({ name: otherName, root: other.root })]),
  ];
  try {
    const { signal } = new AbortController();
    return await runBench({ options, qarrs, folder, signal, say });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Wrong answers always fail; what was too slow only where that is asked for. */
function exitCodeOf(report: Report, { isStrict }: BenchOptions): number {
  const { result, verdicts, summary, against } = report;
  if (result.failures.length > 0) return EXIT_FAILED;
  const isWorse =
    against !== null && compare(summary, against).some(({ kind }) => kind === 'worse');
  const isMissed = verdicts.some(({ isMet }) => isMet === false);
  return isStrict && (isMissed || isWorse) ? EXIT_FAILED : 0;
}
