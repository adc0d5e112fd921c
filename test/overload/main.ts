/**
 * `npm run overload`: gives the system more than it can do, and says what it makes of that. Read this
 * first, then `run.ts` (the parts of a run), `targets.ts` (what is promised) and `docs/overload.md`.
 */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { USAGE, readOptions } from './options.ts';
import type { OverloadOptions } from './options.ts';
import { drawCurves } from './report/curves.ts';
import { formatPage, verdictOf } from './report/page.ts';
import { runOverload } from './run.ts';

const ROOT = join(import.meta.dirname, '../..');
const EXIT_FAILED = 1;
const EXIT_MISUSED = 2;
/** As a shell reports it. */
const EXIT_STOPPED = { SIGINT: 130, SIGTERM: 143 } as const;

// By the exit, which takes the processes of the run along.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => process.exit(EXIT_STOPPED[signal]));
}
const parsed = readOptions(process.argv.slice(2), () => randomBytes(4).toString('hex'));
switch (parsed.kind) {
  case 'help':
    say(USAGE);
    break;
  case 'refused':
    process.stderr.write(`overload: ${parsed.message}; see --help\n`);
    process.exitCode = EXIT_MISUSED;
    break;
  case 'run':
    process.exitCode = await run(parsed.options);
    break;
  default:
    parsed satisfies never;
}

async function run(options: OverloadOptions): Promise<number> {
  const { seed, flags, folder } = options;
  const head = {
    seed,
    commit: await commitOf(ROOT),
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

async function commitOf(root: string): Promise<string> {
  const git = (...args: string[]) => promisify(execFile)('git', ['-C', root, ...args]);
  try {
    const { stdout: commit } = await git('rev-parse', '--short', 'HEAD');
    const { stdout: changes } = await git('status', '--porcelain', '--', 'apps', 'packages');
    return commit.trim() + (changes === '' ? '' : ' and changes');
  } catch {
    // Not a clone.
    return 'unknown';
  }
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
