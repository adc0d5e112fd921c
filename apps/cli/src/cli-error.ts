/** What a command ends with where it does not do what it was asked: see docs/cli.md. */

export const EXIT_FAILED = 1;
/** Bad use or a bad configuration; the same number that most commands use. */
export const EXIT_BAD_USE = 2;
/** The batch is over, and not each of its lines has an answer. */
export const EXIT_INCOMPLETE = 3;
/** What a shell reports for a process that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/** Something that the user can mend: its message is the one line that says what and how. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(
    message: string,
    { exitCode = EXIT_FAILED, cause }: { exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** A bad value of a variable or an option: names it and says what is allowed. */
export function badValue(message: string): CliError {
  return new CliError(message, { exitCode: EXIT_BAD_USE });
}

/** What an unknown thrown value says, as one line. */
export function messageOf(error: unknown): string {
  return oneLine(error instanceof Error ? error.message : String(error));
}

export function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}
