/**
 * Shows how far it is: on a terminal a bar that stays at the bottom, elsewhere a line now and then,
 * and never a character that moves a cursor.
 */
import { createLogUpdate } from 'log-update';
import { progressBar, progressText } from './progress.ts';
import type { Progress } from './progress.ts';

const LINE_EVERY_MS = 10_000;

export interface Reporter {
  /** Above the bar, where there is one. */
  line(text: string): void;
  /** A note that the next progress replaces; elsewhere a line, now and then. */
  note(text: string): void;
  progress(progress: Progress): void;
  /** Leaves the last progress on the screen. */
  stop(): void;
}

export type ReporterOutput = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
};

export function createReporter(deps: {
  output: ReporterOutput;
  /** Milliseconds of a clock that does not run backwards. */
  now: () => number;
}): Reporter {
  const { isTTY = false, columns = 0 } = deps.output;
  // A terminal that does not tell its width cannot be drawn on.
  return isTTY && columns > 0 ? createBar(deps.output) : createLines(deps);
}

/** What it shows changes with the pages that come, so there is nothing to be slowed down. */
function createBar(output: ReporterOutput): Reporter {
  const draw = createLogUpdate(output);
  let shown: string | null = null;
  let bar: string | null = null;
  const redraw = () => {
    if (shown !== null) draw(shown);
  };
  function show(text: string): void {
    if (shown === null) output.on('resize', redraw);
    shown = text;
    redraw();
  }
  return {
    line(text) {
      draw.clear();
      output.write(`${text}\n`);
      redraw();
    },
    note: show,
    progress(progress) {
      bar = progressBar(progress);
      show(bar);
    },
    stop() {
      if (shown === null) return;
      // Also over the ^C of whoever stops it.
      draw.persist(bar ?? shown);
      draw.done();
      output.off('resize', redraw);
      shown = null;
    },
  };
}

function createLines({ output, now }: { output: ReporterOutput; now: () => number }): Reporter {
  let saidAtMs = -Infinity;
  let status: string | null = null;
  /** What is still to be said of how far it is. */
  let unsaid: string | null = null;
  const line = (text: string) => {
    output.write(`${text}\n`);
  };
  function lineNowAndThen(text: string): boolean {
    if (now() - saidAtMs < LINE_EVERY_MS) return false;
    saidAtMs = now();
    line(text);
    return true;
  }
  return {
    line,
    note: (text) => void lineNowAndThen(text),
    progress(progress) {
      if (progress.status !== status) saidAtMs = -Infinity;
      ({ status } = progress);
      const text = progressText(progress);
      unsaid = lineNowAndThen(text) ? null : text;
    },
    stop() {
      if (unsaid !== null) line(unsaid);
      unsaid = null;
    },
  };
}
