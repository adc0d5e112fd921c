/**
 * The life of `qarr batch run`: the input is prepared and looked at, uploaded, made a batch, and
 * followed to its end. `qarr batch resume` begins at the last step. Read this first.
 */
import type { Batch } from '@qarr/client';
import { CliError, EXIT_INCOMPLETE, EXIT_INTERRUPTED } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import type { CommandDeps } from '../command.ts';
import { printable, printableJson } from '../tiers/printable.ts';
import { beginBatch, requireWindow } from './begin-batch.ts';
import type { BeginOptions } from './begin-batch.ts';
import { followBatch, patiently } from './follow-batch.ts';
import type { InputFile } from './input-file.ts';
import { openOutputFiles, requireWritable } from './output-files.ts';
import type { OutputFiles, OutputPaths, Tally } from './output-files.ts';
import { grouped } from './progress.ts';
import type { Reporter } from './reporter.ts';
import type { UploadMeter } from './upload-meter.ts';
import { errorLine } from './validate.ts';

/** Of a failed batch the rest is in `qarr batch status`. */
const ERRORS_SHOWN = 20;

interface WaitOptions extends OutputPaths {
  readonly cancelsOnInterrupt: boolean;
  readonly asJson: boolean;
}

export interface RunOptions extends WaitOptions, BeginOptions {
  /** The file that is read; null: stdin. */
  readonly input: string | null;
}

type Deps = CommandDeps & { readonly reporter: Reporter };

/** Throws a CliError of one line, after what it has to list. */
export async function runBatch(
  prepare: () => Promise<InputFile>,
  options: RunOptions,
  deps: Deps & { readonly meter: UploadMeter },
): Promise<void> {
  requireWindow(options.window);
  await requireWritable(options, options.input);
  const input = await prepare();
  let batch: Batch;
  try {
    batch = await beginBatch(input, options, deps);
  } catch (error) {
    deps.reporter.stop();
    throw error;
  } finally {
    await input.remove();
  }
  deps.reporter.line(`batch ${printable(batch.id)}`);
  await waitForBatch(batch, options, deps);
}

/** Also of one that is over already. */
export async function resumeBatch(id: string, options: WaitOptions, deps: Deps): Promise<void> {
  await requireWritable(options);
  const { client, signal } = deps;
  let found: Batch;
  try {
    // Before anything is written: there may be no such batch.
    found = await patiently({ ...deps, now }, () => client.batches.get(id, { signal }));
  } catch (error) {
    deps.reporter.stop();
    if (signal.aborted) throw await interrupted(id, options, deps);
    throw asProblem(error, { ...deps, path: pathOf(id) });
  }
  await waitForBatch(found, options, deps);
}

async function waitForBatch(found: Batch, options: WaitOptions, deps: Deps): Promise<void> {
  const { client, reporter, signal } = deps;
  const { id } = found;
  const files = await openOutputFiles(options, id);
  if (files.replaces !== null) {
    const other = resumeCommand(files.replaces, { output: 'FILE', errors: undefined });
    reporter.line(
      `the interrupted download of ${printable(files.replaces)} is discarded; have it elsewhere: ${other}`,
    );
  }
  let batch: Batch;
  try {
    batch = await followBatch(found, { client, files, reporter, signal, now });
    if (!isInvalid(batch)) await settle(batch, files, deps);
  } catch (error) {
    await files.close();
    reporter.stop();
    if (signal.aborted) throw await interrupted(id, options, deps);
    const problem = asProblem(error, { ...deps, path: pathOf(id) });
    throw problem instanceof CliError
      ? new CliError(`${problem.message}; then go on: ${resumeCommand(id, options)}`, {
          cause: error,
        })
      : problem;
  }
  reporter.stop();
  if (isInvalid(batch)) await files.discard();
  else await files.finish();
  tell(batch, files.tally, { ...options, ...deps });
}

/** Nothing of it has run. One that failed later has lost answers that it had, and has files of the others. */
function isInvalid({ status, request_counts: counts }: Batch): boolean {
  return status === 'failed' && counts.total === 0;
}

/** What was written is what the batch's own files hold, or it is replaced by that. */
async function settle(batch: Batch, files: OutputFiles, { client, signal }: Deps): Promise<void> {
  const parts = [
    { which: 'output', id: batch.output_file_id, written: files.outputBytes },
    { which: 'errors', id: batch.error_file_id, written: files.errorBytes },
  ] as const;
  for (const { which, id, written } of parts) {
    if (written === null) continue;
    const file = id === null ? null : await client.files.get(id, { signal });
    if ((file?.bytes ?? 0) === written) continue;
    await files.replace(which, file === null ? nothing() : client.files.content(file, { signal }));
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}

async function interrupted(
  id: string,
  options: WaitOptions,
  { client, stderr, stdout, killSignal }: Deps,
): Promise<CliError> {
  if (options.cancelsOnInterrupt) await client.batches.cancel(id, { signal: killSignal });
  const what = options.cancelsOnInterrupt
    ? 'is being cancelled; its results:'
    : 'goes on; take it up:';
  stderr.write(`the batch ${what} ${resumeCommand(id, options)}\n`);
  if (options.asJson) {
    stdout.write(`${printableJson({ batch: { id }, output: null, errors: null })}\n`);
  }
  return new CliError('', { exitCode: EXIT_INTERRUPTED });
}

/** The result, and how the process ends. */
function tell(
  batch: Batch,
  { completed, failed, tiers }: Tally,
  { output, errors, asJson, stdout, stderr }: WaitOptions & Deps,
): void {
  const { status, id } = batch;
  if (asJson) {
    const files = isInvalid(batch) ? null : { output, errors: errors ?? null };
    stdout.write(`${printableJson({ batch, output: null, errors: null, ...files, tiers })}\n`);
  }
  if (status === 'failed') {
    for (const error of batch.errors?.data.slice(0, ERRORS_SHOWN) ?? []) {
      stderr.write(`${errorLine(error)}\n`);
    }
    const advice = isInvalid(batch)
      ? 'mend the lines that are listed'
      : `what is whole of it is in ${printable(output, 300)}`;
    throw new CliError(`the batch ${printable(id)} has failed: ${advice}`);
  }
  const said = `${status}: ${grouped(completed)} answered, ${grouped(failed)} not`;
  if (!asJson) stdout.write(`${said}; ${printable(output, 300)}\n`);
  if (failed === 0 && status === 'completed') return;
  const where =
    errors === undefined
      ? `see them with qarr batch results ${printable(id)}, or --errors FILE`
      : `see ${printable(errors, 300)}`;
  throw new CliError(`${said}; ${where}`, { exitCode: EXIT_INCOMPLETE });
}

function pathOf(id: string): string {
  return `/v1/batches/${encodeURIComponent(id)}`;
}

function now(): number {
  return performance.now();
}

function resumeCommand(id: string, { output, errors }: OutputPaths): string {
  const more = errors === undefined ? '' : ` --errors ${quoted(errors)}`;
  return `qarr batch resume ${printable(id)} -o ${quoted(output)}${more}`;
}

/** For a shell. */
function quoted(text: string): string {
  const shown = printable(text, 1_000);
  return /^[\w./~-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", String.raw`'\''`)}'`;
}
