/**
 * Shows how far it is: on a terminal one line that is rewritten, elsewhere a line now and then, and
 * never a character that moves a cursor.
 */
import type { Output } from '../screen.ts';
import { progressBar, progressText } from './progress.ts';
import type { Progress } from './progress.ts';

const LINE_EVERY_MS = 10_000;
const BAR_EVERY_MS = 100;
const ERASE_LINE = '\r\u001B[2K';
/** Of a terminal that does not tell. */
const COLUMNS = 80;

export interface Reporter {
  /** Above the bar, where there is one. */
  line(text: string): void;
  /** A note that the next progress replaces; elsewhere a line, now and then. */
  note(text: string): void;
  progress(progress: Progress): void;
  /** Leaves the last progress on the screen. */
  stop(): void;
}

export function createReporter({
  output,
  now,
}: {
  output: Output & { readonly columns?: number };
  /** Milliseconds of a clock that does not run backwards. */
  now: () => number;
}): Reporter {
  const isTerminal = output.isTTY === true;
  let shownAtMs = -Infinity;
  let shown: string | null = null;
  let last: Progress | null = null;

  function rewrite(text: string): void {
    output.write(`${ERASE_LINE}${text.slice(0, columns() - 1)}`);
    shown = text;
  }
  function columns(): number {
    const { columns: told = 0 } = output;
    return told > 0 ? told : COLUMNS;
  }
  function isDue(everyMs: number): boolean {
    if (now() - shownAtMs < everyMs) return false;
    shownAtMs = now();
    return true;
  }

  return {
    line(text) {
      const bar = shown;
      output.write(bar === null ? `${text}\n` : `${ERASE_LINE}${text}\n`);
      if (bar !== null) rewrite(bar);
    },
    note(text) {
      if (isTerminal) rewrite(text);
      else if (isDue(LINE_EVERY_MS)) output.write(`${text}\n`);
    },
    progress(progress) {
      const isNew = progress.status !== last?.status;
      last = progress;
      if (isTerminal) {
        if (isDue(BAR_EVERY_MS) || isNew) rewrite(progressBar(progress, columns()));
      } else if (isDue(LINE_EVERY_MS) || isNew) {
        shownAtMs = now();
        output.write(`${progressText(progress)}\n`);
      }
    },
    stop() {
      if (shown === null) return;
      if (last !== null) rewrite(progressBar(last, columns()));
      output.write('\n');
      shown = null;
    },
  };
}
