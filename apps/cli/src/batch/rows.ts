/** Plain text and CSV as rows, one after another, however many there are. */
import type { Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { createLineSplitter } from '@qarr/router-core';
import { CliError } from '../cli-error.ts';
import type { Row } from './template.ts';

/** A row is a prompt, which is shorter than the window of any model. */
export const ROW_BYTES_MAX = 1_048_576;
/** The column of plain text. */
export const TEXT_COLUMN = 'text';

export interface NumberedRow {
  /** From 1: of plain text the line, blank ones counted; of CSV the record after the header. */
  readonly number: number;
  readonly row: Row;
}

export interface Rows {
  /** Known before the first row. */
  readonly columns: readonly string[];
  readonly rows: AsyncIterable<NumberedRow>;
}

/** One prompt per line; blank lines are left out. Throws a CliError that names the row. */
export function readTextRows(input: Readable): Rows {
  return { columns: [TEXT_COLUMN], rows: textRows(input) };
}

async function* textRows(input: Readable): AsyncGenerator<NumberedRow, void, undefined> {
  for await (const line of readLines(input, ROW_BYTES_MAX)) {
    if (line.kind === 'invalid_utf8') throw badRow(line.number, 'it is not valid UTF-8');
    if (line.kind === 'line_too_long') {
      throw badRow(line.number, `it has more than ${ROW_BYTES_MAX} bytes`);
    }
    if (line.text.trim() !== '') yield { number: line.number, row: { [TEXT_COLUMN]: line.text } };
  }
}

/** Lines with their numbers, from 1. */
export async function* readLines(input: Readable, lineBytesMax: number) {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const splitter = createLineSplitter({
    lineBytesMax,
    decode(bytes) {
      try {
        return decoder.decode(bytes);
      } catch {
        // It has thrown because it was told to, for what is not UTF-8.
        return null;
      }
    },
  });
  for await (const bytes of input) yield* splitter.push(bytes as Buffer);
  yield* splitter.end();
}

/** The first record names the columns. Throws a CliError that names the row. */
export async function readCsvRows(input: Readable): Promise<Rows> {
  const parser = parse({ bom: true, skip_empty_lines: true, max_record_size: ROW_BYTES_MAX });
  input.once('error', (error) => parser.destroy(error));
  const records = (input.pipe(parser) as AsyncIterable<string[]>)[Symbol.asyncIterator]();
  let number = 0;
  const next = async (): Promise<string[] | undefined> => {
    try {
      const { done, value } = await records.next();
      return done === true ? undefined : value;
    } catch (error) {
      // The records before it, and the header among them, may not all have been read here.
      if (error instanceof CsvError) throw badRow(Number(error['records']), csvProblem(error));
      throw error;
    }
  };

  const columns = ((await next()) ?? []).map((column) => column.trim());
  if (columns.length === 0) throw new CliError('the CSV is empty: its first row names the columns');
  const twice = columns.find((column, index) => columns.indexOf(column) !== index);
  if (twice !== undefined) throw new CliError(`the CSV has two columns named "${twice}"`);

  async function* rows(): AsyncGenerator<NumberedRow, void, undefined> {
    for (;;) {
      number += 1;
      const record = await next();
      if (record === undefined) return;
      const row = Object.fromEntries(columns.map((column, index) => [column, record[index] ?? '']));
      yield { number, row };
    }
  }
  return { columns, rows: rows() };
}

export function badRow(number: number, problem: string): CliError {
  return new CliError(`row ${number}: ${problem}`);
}

function csvProblem({ code, message }: CsvError): string {
  if (code === 'CSV_MAX_RECORD_SIZE') return `it has more than ${ROW_BYTES_MAX} characters`;
  if (code === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH') {
    return 'it has more or fewer fields than the header';
  }
  return message;
}
