/** The terminal: lines, streamed text, and steps with the time that they took. */
import { styleText } from 'node:util';

/** A step that is done sooner than this needs no announcement where lines cannot be rewritten. */
const ANNOUNCE_AFTER_MS = 2000;
const ERASE_LINE = '\r\u001B[2K';

type Style = Parameters<typeof styleText>[0];

export interface Screen {
  style(style: Style, text: string): string;
  line(text?: string): void;
  /** A part of a line, as it comes. */
  write(text: string): void;
  /** To stderr, after whatever part of a line is open. */
  problem(text: string): void;
  /** Shows that it works, and then what it came to: `work` returns that as a few words. */
  step<T>(name: string, work: () => Promise<{ result: T; summary: string }>): Promise<T>;
}

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export function createScreen({
  stdout,
  stderr,
  colours,
}: {
  stdout: Output;
  stderr: Output;
  colours: boolean;
}): Screen {
  let isLineOpen = false;
  const style = (styles: Style, text: string) =>
    colours ? styleText(styles, text, { validateStream: false }) : text;
  const write = (text: string) => {
    if (text === '') return;
    stdout.write(text);
    isLineOpen = !text.endsWith('\n');
  };
  const closeLine = () => {
    if (isLineOpen) write('\n');
  };
  const line = (text = '') => {
    closeLine();
    write(`${text}\n`);
  };
  return {
    style,
    write,
    line,
    problem(text) {
      closeLine();
      stderr.write(`${style('red', text)}\n`);
    },
    async step(name, work) {
      const startedAtMs = performance.now();
      const announcement = `${style('dim', '…')} ${name}`;
      let timer: NodeJS.Timeout | undefined;
      if (stdout.isTTY === true) write(announcement);
      else timer = setTimeout(() => line(announcement), ANNOUNCE_AFTER_MS);
      try {
        const { result, summary } = await work();
        const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
        if (stdout.isTTY === true && isLineOpen) write(ERASE_LINE);
        isLineOpen = false;
        line(`${style('green', '✓')} ${name}: ${summary} ${style('dim', `(${seconds} s)`)}`);
        return result;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
