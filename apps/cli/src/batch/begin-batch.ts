/** An input becomes a batch: it is looked at and uploaded. */
import { openAsBlob } from 'node:fs';
import { QarrClientError } from '@qarr/client';
import type { Batch, BatchEndpoint } from '@qarr/client';
import { batchRequestSchema } from '@qarr/router-core';
import { CliError, badValue } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import type { CommandDeps } from '../command.ts';
import { printable } from '../tiers/printable.ts';
import { checkFile } from './check-file.ts';
import type { CheckedFile } from './check-file.ts';
import type { InputFile } from './input-file.ts';
import { grouped } from './progress.ts';
import type { Reporter } from './reporter.ts';
import type { UploadMeter } from './upload-meter.ts';
import { errorLine } from './validate.ts';

/** `qarr batch validate` lists all of them. */
const ERRORS_SHOWN = 20;
const REFUSED_SHOWN = 5;

export interface BeginOptions {
  readonly endpoint: BatchEndpoint | undefined;
  readonly window: string;
  readonly isChecked: boolean;
}

type Deps = CommandDeps & { readonly reporter: Reporter; readonly meter: UploadMeter };

/** Throws a CliError of one line, after what it has to list. */
export async function beginBatch(
  input: InputFile,
  { endpoint: given, window, isChecked }: BeginOptions,
  { client, reporter, signal, killSignal, meter, ...asked }: Deps,
): Promise<Batch> {
  const { path, bytes, filename } = input;
  const checked = await checkFile({ path, endpoint: given, policy: null, signal });
  const { endpoint, lines, errors } = checked;
  if (isChecked && errors.length > 0) {
    for (const error of errors.slice(0, ERRORS_SHOWN)) reporter.line(errorLine(error));
    throw new CliError(
      `nothing was uploaded: mend the lines of ${printable(filename)} that are listed`,
    );
  }
  if (isChecked) tellRefused(checked, { filename, reporter });
  reporter.line(`${printable(filename)}: ${grouped(lines)} lines, ${grouped(bytes)} bytes`);
  meter.onSent = (sent) => {
    reporter.note(`uploading, ${Math.min(100, Math.floor((sent / Math.max(1, bytes)) * 100))}%`);
  };
  const file = await openAsBlob(path);
  const stored = await client.files
    .create({ file, filename, purpose: 'batch' }, { signal })
    .catch((error: unknown) => {
      throw asProblem(error, { ...asked, path: '/v1/files' });
    });
  // Not given up halfway: nobody would know the id of a batch that was made all the same.
  return client.batches
    .create(
      { input_file_id: stored.id, endpoint, completion_window: window },
      { signal: killSignal },
    )
    .catch(async (error: unknown) => {
      const problem = asProblem(error, { ...asked, path: '/v1/batches' });
      if (!(problem instanceof CliError)) throw problem;
      const isDeleted =
        wasRefused(error) && (await isDone(client.files.delete(stored.id, { signal: killSignal })));
      const uploaded = `the file that was uploaded, ${printable(stored.id)},`;
      throw new CliError(
        `${problem.message}; ${uploaded} ${isDeleted ? 'was deleted again' : 'is still there'}`,
        { cause: error },
      );
    });
}

/** By the API itself: otherwise there may be a batch, which needs its file. */
function wasRefused(error: unknown): boolean {
  if (!(error instanceof QarrClientError)) return false;
  return error.status !== null && error.status < 500 && error.code !== 'http_error';
}

async function isDone(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

/** Lines that are answers of the error file; throws a CliError where there would be no others. */
function tellRefused(
  { refused, refusedCount, lines }: CheckedFile,
  { filename, reporter }: { filename: string; reporter: Reporter },
): void {
  const [first] = refused;
  if (first === undefined) return;
  const name = printable(filename);
  if (refusedCount === lines) {
    throw new CliError(
      `nothing was uploaded: each line of ${name} would be refused, the first one as ${errorLine(first)}`,
    );
  }
  for (const error of refused.slice(0, REFUSED_SHOWN)) reporter.line(errorLine(error));
  reporter.line(
    `${name}: ${grouped(refusedCount)} of ${grouped(lines)} lines will be refused, the others run`,
  );
}

/** Throws a CliError. How short or long it may be is the API's to say. */
export function requireWindow(window: string): void {
  if (batchRequestSchema.shape.completion_window.safeParse(window).success) return;
  throw badValue('--window must be a number of minutes, hours or days, such as 90m, 24h or 7d');
}
