/**
 * `npm run overload`: gives the system more than it can do, and says what it makes of that. Read this
 * first, then `run.ts` (the parts of a run), `targets.ts` (what is promised) and `docs/overload.md`.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeVersion, runCommand, say } from '../harness/command.ts';
import { USAGE, readOptions } from './options.ts';
import type { OverloadOptions } from './options.ts';
import { drawCurves } from './report/curves.ts';
import { formatPage, verdictOf } from './report/page.ts';
import { runOverload } from './run.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXIT_FAILED = 1;

await runCommand('overload', {
  usage: USAGE,
  parsed: readOptions(process.argv.slice(2), () => randomBytes(4).toString('hex')),
  run,
});

async function run(options: OverloadOptions): Promise<number> {
  const { seed, flags, folder } = options;
  const head = {
    seed,
    commit: await codeVersion(ROOT),
    command: `npm run overload -- ${[...flags, `--seed ${seed}`].join(' ')}`,
  };
  say(`seed ${head.seed}, commit ${head.commit}`);
  const result = await runOverload(options, say);
  const curves = drawCurves(result);
  const page = formatPage(result, { head, curves });
  say(page);
  await mkdir(join(folder, 'overload'), { recursive: true });
  await writeFile(join(folder, 'overload-report.md'), `# Report of an overload run\n\n${page}`);
  for (const { name, svg } of curves) {
    await writeFile(join(folder, 'overload', `${name}.svg`), svg);
  }
  say(`written: ${join(folder, 'overload-report.md')}`);
  for (const logs of result.folders) say(`logs of the processes: ${logs}`);
  say(verdictOf(result));
  return verdictOf(result).startsWith('PASS') ? 0 : EXIT_FAILED;
}
