/** Reads the lines of an input file one after another, and says what is wrong with the file. */
import type { BatchEndpoint, BatchError } from './batch.ts';
import { parseBatchLine } from './batch-line.ts';
import type { BatchLine } from './batch-line.ts';
import type { RawLine } from './line-splitter.ts';

export interface BatchLimits {
  /** Lines that are not blank. */
  readonly linesMax: number;
  readonly lineBytesMax: number;
  /** Errors that are told; the rest is not looked for. */
  readonly errorsMax: number;
}

export interface BatchChecker {
  /** Null where the line is blank, or wrong. */
  line(line: RawLine): BatchLine | null;
  /** There is no need to read on: more would not be told. */
  readonly isFull: boolean;
  /** Lines that were neither blank nor wrong. */
  readonly total: number;
  /** Empty where the batch can run. */
  end(): BatchError[];
}

/** Each line may have a blank one. A file of nothing else would be read for very long. */
const BLANK_FACTOR = 2;

export function createBatchChecker({
  endpoint,
  linesMax,
  lineBytesMax,
  errorsMax,
}: BatchLimits & { endpoint: BatchEndpoint }): BatchChecker {
  const errors: BatchError[] = [];
  /** By custom_id, the line that has it. No more than linesMax. */
  const seen = new Map<string, number>();
  let lines = 0;
  let isTooMany = false;

  function isFull(): boolean {
    return isTooMany || errors.length >= errorsMax;
  }

  function refuse(line: RawLine, code: string, message: string): null {
    errors.push({ code, message, param: null, line: line.number });
    return null;
  }

  return {
    line(line) {
      if (isFull()) return null;
      const numberMax = BLANK_FACTOR * linesMax;
      if (line.number > numberMax) {
        isTooMany = true;
        const message = `A file has at most ${numberMax} lines with the blank ones.`;
        return refuse(line, 'too_many_lines', message);
      }
      if (line.kind === 'text' && line.text.trim() === '') return null;
      lines += 1;
      if (lines > linesMax) {
        isTooMany = true;
        return refuse(line, 'too_many_tasks', `A batch has at most ${linesMax} lines.`);
      }
      if (line.kind === 'invalid_utf8') {
        return refuse(line, 'invalid_utf8', 'This line is not valid UTF-8.');
      }
      if (line.kind === 'line_too_long') {
        return refuse(line, 'line_too_long', `A line has at most ${lineBytesMax} bytes.`);
      }
      const read = parseBatchLine(line.text, { endpoint, number: line.number });
      if (read.kind === 'wrong') {
        errors.push(read.error);
        return null;
      }
      const { customId, body } = read;
      const first = seen.get(customId);
      if (first !== undefined) {
        const message = `The custom_id of this line is that of line ${first}, too.`;
        const error = { code: 'duplicate_custom_id', message, param: 'custom_id' };
        errors.push({ ...error, line: line.number });
        return null;
      }
      seen.set(customId, line.number);
      return { customId, body };
    },

    get isFull() {
      return isFull();
    },

    get total() {
      return seen.size;
    },

    end() {
      if (lines + errors.length > 0) return [...errors];
      const message = 'The input file has no lines.';
      return [{ code: 'empty_file', message, param: null, line: null }];
    },
  };
}
