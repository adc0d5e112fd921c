/** Reads what a child wrote. */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { isRecord } from '../is-record.ts';

/** Enough for any message with its stack; a log itself may be large. */
const TAIL_BYTES = 16_384;
const LINE_CHARS_MAX = 300;
/** How our processes say what the user can mend. */
const MESSAGE_FOR_PEOPLE = /^(?:qarr-[a-z-]+|vllm-sim): \S/;
const NAMED_ERROR = /^(?:Uncaught )?(?:\w*Error|FATAL ERROR)\b.*: \S/;

/** In bytes; 0 when there is none. */
export function logSize(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** The end of what was written after the byte `from`, in whole lines; empty when there is nothing. */
export function readTail({ file, from = 0 }: { file: string; from?: number }): string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch {
    // The child never came as far as to have a log.
    return '';
  }
  try {
    const { size } = fstatSync(descriptor);
    const start = Math.max(from, size - TAIL_BYTES);
    const buffer = Buffer.alloc(Math.max(size - start, 0));
    const length = readSync(descriptor, buffer, 0, buffer.length, start);
    const text = buffer.toString('utf8', 0, length);
    // The rest of a line would be taken for something else than it is.
    return start > from ? text.slice(text.indexOf('\n') + 1) : text;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * The line that explains best why a process ended: its last message for people, else the last error
 * of a stack trace, else its last line that is not a JSON log record, else the message of the last one.
 * Empty when it said nothing. `onlyErrors` leaves out these last lines: what was ended by a signal wrote it long before.
 */
export function lastWords(
  log: string,
  { onlyErrors = false }: { onlyErrors?: boolean } = {},
): string {
  const lines = log
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const line =
    lines.findLast((text) => MESSAGE_FOR_PEOPLE.test(text)) ??
    lines.findLast((text) => NAMED_ERROR.test(text)) ??
    (onlyErrors ? undefined : lines.findLast((text) => !text.startsWith('{'))) ??
    (onlyErrors ? '' : messageOfRecord(lines.at(-1)));
  const words = line.trim();
  return words.length > LINE_CHARS_MAX ? `${words.slice(0, LINE_CHARS_MAX)}…` : words;
}

function messageOfRecord(line = ''): string {
  try {
    const record: unknown = JSON.parse(line);
    return isRecord(record) && typeof record['msg'] === 'string' ? record['msg'] : '';
  } catch {
    // It was written in part only.
    return '';
  }
}
