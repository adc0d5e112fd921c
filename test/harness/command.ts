/** What the commands have in common that start whole systems: how they end, and which code they ran. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const EXIT_MISUSED = 2;
/** As a shell reports it. */
const EXIT_STOPPED = { SIGINT: 130, SIGTERM: 143 } as const;

export type ParsedFlags<Options> =
  | { kind: 'run'; options: Options }
  | { kind: 'help' }
  /** One line for the person who typed the flags. */
  | { kind: 'refused'; message: string };

/** Sets the exit code; `run` returns it. */
export async function runCommand<Options>(
  name: string,
  {
    usage,
    parsed,
    run,
  }: { usage: string; parsed: ParsedFlags<Options>; run: (options: Options) => Promise<number> },
): Promise<void> {
  // By the exit, which takes the processes of the run along.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => process.exit(EXIT_STOPPED[signal]));
  }
  switch (parsed.kind) {
    case 'help':
      say(usage);
      break;
    case 'refused':
      process.stderr.write(`${name}: ${parsed.message}; see --help\n`);
      process.exitCode = EXIT_MISUSED;
      break;
    case 'run':
      process.exitCode = await run(parsed.options);
      break;
    default:
      parsed satisfies never;
  }
}

export async function codeVersion(root: string): Promise<string> {
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

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
