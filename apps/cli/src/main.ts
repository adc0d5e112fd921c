/** The `qarr` command. */
import { CommanderError } from 'commander';
import { CliError, EXIT_BAD_USE, EXIT_FAILED, messageOf } from './cli-error.ts';
import { createProgram } from './program.ts';

process.exitCode = await run(process.argv.slice(2));

/** Returns the exit code; whatever goes wrong is one line on stderr. */
async function run(args: readonly string[]): Promise<number> {
  let exitCode = 0;
  const program = createProgram({ endWith: (code) => (exitCode = code) });
  try {
    await program.parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Commander has said by then what is wrong, or was only asked for its help or version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_BAD_USE;
    const message = describe(error);
    if (message !== '') process.stderr.write(`qarr: ${message}\n`);
    return error instanceof CliError ? error.exitCode : EXIT_FAILED;
  }
}

/** A mistake of ours keeps its stack trace; whatever the user can mend is one line. */
function describe(error: unknown): string {
  if (error instanceof CliError || !(error instanceof Error)) return messageOf(error);
  return `this should not have happened: ${error.stack ?? error.message}`;
}
