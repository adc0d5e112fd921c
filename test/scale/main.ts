/**
 * `npm run scale`: whether throughput follows the number of workers, and nothing is lost on the way up and
 * down. Read this first, then `run.ts` (one run), `check.ts` (what is checked) and `docs/operations.md`.
 */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeVersion, runCommand, say } from '../harness/command.ts';
import { USAGE, readOptions } from './options.ts';
import type { ScaleOptions } from './options.ts';
import { formatReport } from './report.ts';
import { runScale } from './run.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXIT_FAILED = 1;
/** So that some are interrupted, and a phase has many. */
const TOKENS = [40, 160] as const;
/** Short: most of what runs is handed back. */
const DRAIN_MS = 200;
/** Something always waits. */
const STREAMS_PER_SLOT = 1.5;

await runCommand('scale', {
  usage: USAGE,
  parsed: readOptions(process.argv.slice(2), () => randomBytes(4).toString('hex')),
  run,
});

async function run({
  seed,
  flags,
  reportPath,
  workers,
  seconds,
  ...rest
}: ScaleOptions): Promise<number> {
  const head = {
    commit: await codeVersion(ROOT),
    command: `npm run scale -- ${[...flags, `--seed ${seed}`].join(' ')}`,
  };
  say(head.command);
  const result = await runScale(
    {
      ...rest,
      seed,
      sizes: [1, workers, 1],
      phaseMs: seconds * 1_000,
      streams: Math.ceil(workers * rest.slots * STREAMS_PER_SLOT),
      tokens: TOKENS,
      timeScale: 1,
      drainMs: DRAIN_MS,
    },
    say,
  );
  const report = formatReport(result, head);
  say(report);
  if (reportPath !== null) await writeFile(reportPath, `# Report of a run of scale\n\n${report}`);
  if (result.folder !== null) say(`logs of the processes: ${result.folder}`);
  return result.violations.length === 0 ? 0 : EXIT_FAILED;
}
