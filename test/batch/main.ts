/**
 * `npm run batches`: a batch through the whole system while people stream and processes are killed, and
 * whether each line has its outcome once. Read this first, then `run.ts` (one run), `check.ts` (what is
 * checked) and `docs/batches.md`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createRandom } from '../chaos/random.ts';
import { codeVersion, runCommand, say } from '../harness/command.ts';
import { drawKills } from './kills.ts';
import { USAGE, readOptions } from './options.ts';
import type { BatchOptions } from './options.ts';
import { formatReport, jsonReport, verdictOf } from './report.ts';
import { runBatch } from './run.ts';
import { worldFor } from './shape.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXIT_FAILED = 1;
const POLL_MS = 100;
/** The largest one, on a machine that has much else to do. */
const OVER_WITHIN_MS = 4 * 3_600_000;
const TOKENS = [8, 32] as const;

await runCommand('batches', {
  usage: USAGE,
  parsed: readOptions(process.argv.slice(2), () => randomBytes(4).toString('hex')),
  run,
});

async function run(options: BatchOptions): Promise<number> {
  const { seed, flags, folder, lines, kills, streams, baselineMs, engines } = options;
  const head = {
    seed,
    commit: await codeVersion(ROOT),
    command: `npm run batches -- ${[...flags, `--seed ${seed}`].join(' ')}`,
  };
  say(`seed ${head.seed}, commit ${head.commit}`);
  const plan = {
    seed,
    lines,
    streams,
    baselineMs,
    tokens: TOKENS,
    pollEveryMs: POLL_MS,
    overWithinMs: OVER_WITHIN_MS,
    shape: worldFor(engines),
    kills: drawKills(kills, createRandom(`${seed}/plan`)),
  };
  const result = await runBatch(plan, say);
  const report = formatReport(result, head);
  say(report);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'batches-report.md'), `# Report of a run of a batch\n\n${report}`);
  await writeFile(join(folder, 'batches-report.json'), jsonReport(result, head));
  say(`written: ${join(folder, 'batches-report.md')} and .json`);
  if (result.folder !== null) say(`logs of the processes: ${result.folder}`);
  say(verdictOf(result));
  return result.violations.length === 0 ? 0 : EXIT_FAILED;
}
