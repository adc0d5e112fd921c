/** Bad use or a bad configuration; the same number that most commands use. */
export const EXIT_BAD_USE = 2;

/** Something that the user can mend: its message is the one line that says what and how. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(
    message: string,
    { exitCode = 1, cause }: { exitCode?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** A bad value of a variable: names it and says what is allowed. */
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
