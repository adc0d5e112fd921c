/**
 * What is uploaded: a file of lines as it is, or one that is made of text, CSV or stdin. What is made
 * lies in a folder of its own, which only this user can read, until it is uploaded.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CliError, badValue, messageOf } from '../cli-error.ts';
import { linesOfRows } from './row-lines.ts';
import type { RowOptions } from './row-lines.ts';
import { readCsvRows, readTextRows } from './rows.ts';

export const FORMATS = ['jsonl', 'text', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

const FORMAT_BY_EXTENSION: Readonly<Record<string, Format>> = {
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
  '.txt': 'text',
  '.csv': 'csv',
};
const STDIN = '-';

export interface InputFile {
  readonly path: string;
  readonly bytes: number;
  /** By which it will be listed. */
  readonly filename: string;
  /** Does nothing to a file of the user. */
  remove(): Promise<void>;
}

/** Throws a CliError where the extension says nothing. */
export function formatOf(given: string, format: Format | undefined): Format {
  const extension = path.extname(given).toLowerCase();
  const found = format ?? (given === STDIN ? 'jsonl' : FORMAT_BY_EXTENSION[extension]);
  if (found !== undefined) return found;
  throw badValue(`say what ${given} is: --format ${FORMATS.join('|')}`);
}

/** Throws a CliError of one line, with the number of the row where it is one. */
export async function prepareInput({
  given,
  format,
  stdin,
  rows,
  signal,
}: {
  /** A path, or `-`. */
  given: string;
  format: Format;
  stdin: Readable;
  rows: RowOptions;
  signal: AbortSignal;
}): Promise<InputFile> {
  const isStdin = given === STDIN;
  if (format === 'jsonl' && !isStdin) {
    return {
      path: given,
      bytes: await sizeOf(given),
      // The only ending that the API takes for a batch.
      filename: `${path.basename(given, path.extname(given))}.jsonl`,
      async remove() {},
    };
  }
  if (!isStdin) await sizeOf(given);
  const folder = await mkdtemp(path.join(tmpdir(), 'qarr-batch-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  const name = isStdin ? 'stdin' : path.basename(given, path.extname(given));
  const file = path.join(folder, 'input.jsonl');
  try {
    const input = isStdin ? stdin : createReadStream(given);
    const lines = await linesOf(input, { format, rows });
    await pipeline(lines, createWriteStream(file, { mode: 0o600 }), { signal });
    return { path: file, bytes: await sizeOf(file), filename: `${name}.jsonl`, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function linesOf(
  input: Readable,
  { format, rows }: { format: Format; rows: RowOptions },
): Promise<Readable> {
  switch (format) {
    case 'jsonl':
      return input;
    case 'text':
      return Readable.from(linesOfRows(readTextRows(input), rows));
    case 'csv':
      return Readable.from(linesOfRows(await readCsvRows(input), rows));
    default:
      return format satisfies never;
  }
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((error: unknown) => {
    throw new CliError(`the input cannot be read: ${messageOf(error)}`, { cause: error });
  });
  if (found.isDirectory()) throw new CliError(`the input cannot be read: ${file} is a folder`);
  return found.size;
}
