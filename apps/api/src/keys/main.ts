/** The operator's tool for keys: `node apps/api/src/keys/main.ts create --owner acme …`. */
import { ConfigurationError } from '@qarr/process';
import { readToolConfig } from './config.ts';
import { HELP, runCommand } from './commands.ts';

const EXIT_FAILED = 1;
const EXIT_BAD_USE = 2;

const { stdout, stderr } = process;

/** Returns the exit code; whatever goes wrong is one line on stderr. */
async function run(args: readonly string[]): Promise<number> {
  if (args.length === 0 || args.includes('--help') || args.includes('-h')) {
    stdout.write(HELP);
    return args.length === 0 ? EXIT_BAD_USE : 0;
  }
  try {
    await runCommand(args, {
      readConfig: readToolConfig,
      say: (line) => void stdout.write(`${line}\n`),
      remark: (line) => void stderr.write(`${line}\n`),
    });
    return 0;
  } catch (error) {
    stderr.write(`qarr keys: ${firstLine(error)}\n`);
    return error instanceof ConfigurationError ? EXIT_BAD_USE : EXIT_FAILED;
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0] ?? '';
}

process.exitCode = await run(process.argv.slice(2));
