/** `qarr batch status|cancel|list|results`. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { isBatchOver } from '@qarr/client';
import type { Batch, BatchOutcome } from '@qarr/client';
import { asProblem } from '../client-problem.ts';
import type { CommandDeps } from '../command.ts';
import { printable, printableJson, printableJsonLine } from '../tiers/printable.ts';
import { requireWritable } from './output-files.ts';
import { grouped } from './progress.ts';
import { errorLine } from './validate.ts';

const PATH = '/v1/batches';
const ERRORS_SHOWN = 20;
const PAGE_LINES = 1_000;

type Deps = CommandDeps & { readonly asJson: boolean };

export async function showBatch(id: string, deps: Deps): Promise<void> {
  const { client, signal } = deps;
  write(await asked(id, deps, () => client.batches.get(id, { signal })), deps);
}

export async function cancelBatch(id: string, deps: Deps): Promise<void> {
  const { client, signal } = deps;
  write(await asked(id, deps, () => client.batches.cancel(id, { signal })), deps);
}

/** The newest first. */
export async function listBatches(
  { limit, after }: { limit: number | undefined; after: string | undefined },
  deps: Deps,
): Promise<void> {
  const { client, stdout, signal, asJson } = deps;
  const page = await client.batches.list({ limit, after, signal }).catch((error: unknown) => {
    throw asProblem(error, { ...deps, path: PATH });
  });
  if (asJson) {
    stdout.write(`${printableJson(page)}\n`);
    return;
  }
  for (const batch of page.data) stdout.write(`${rowOf(batch)}\n`);
  if (page.has_more && page.last_id !== null) {
    stdout.write(`more: qarr batch list --after ${printable(page.last_id)}\n`);
  }
}

/** All outcomes that there are, a line of JSON for each; `output` is never there in part. */
export async function writeResults(
  id: string,
  { after, output }: { after: string | undefined; output: string | undefined },
  deps: CommandDeps,
): Promise<void> {
  const { stderr, stdout } = deps;
  if (output === undefined) {
    const next = await eachPage(id, after, deps, (outcomes) => {
      stdout.write(outcomes.map((outcome) => `${printableJsonLine(outcome)}\n`).join(''));
    });
    stderr.write(`next: --after ${next}\n`);
    return;
  }
  await requireWritable({ output, errors: undefined });
  const file = createWriteStream(`${output}.part`);
  try {
    const next = await eachPage(id, after, deps, async (outcomes) => {
      const text = outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join('');
      if (!file.write(text)) await once(file, 'drain', { signal: deps.signal });
    });
    file.end();
    await finished(file);
    await rename(`${output}.part`, output);
    stderr.write(`next: --after ${next}\n`);
  } catch (error) {
    file.destroy();
    await rm(`${output}.part`, { force: true });
    throw error;
  }
}

async function eachPage(
  id: string,
  first: string | undefined,
  deps: CommandDeps,
  take: (outcomes: readonly BatchOutcome[]) => Promise<void> | void,
): Promise<string> {
  const { client, signal } = deps;
  let after = first;
  for (;;) {
    const cursor = after;
    const page = await asked(id, deps, () =>
      client.batches.results(id, { after: cursor, limit: PAGE_LINES, signal }),
    );
    if (page.data.length > 0) await take(page.data);
    after = page.next_cursor;
    if (!page.has_more) return printable(after);
  }
}

async function asked<T>(id: string, deps: CommandDeps, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asProblem(error, { ...deps, path: `${PATH}/${encodeURIComponent(id)}` });
  }
}

function write(batch: Batch, { stdout, asJson }: Deps): void {
  if (asJson) {
    stdout.write(`${printableJson(batch)}\n`);
    return;
  }
  const { completed, failed, total } = batch.request_counts;
  const lines = [
    ['batch', batch.id],
    ['status', batch.status],
    ['endpoint', batch.endpoint],
    ['answered', `${grouped(completed)} of ${grouped(total)}`],
    ['failed', grouped(failed)],
    ['input file', batch.input_file_id],
    ['output file', batch.output_file_id ?? 'none'],
    ['error file', batch.error_file_id ?? 'none'],
    ...(isBatchOver(batch) ? [] : [['expires', dateOf(batch.expires_at)]]),
  ];
  for (const [name = '', value = ''] of lines)
    stdout.write(`${name.padEnd(12)}${printable(value)}\n`);
  for (const error of batch.errors?.data.slice(0, ERRORS_SHOWN) ?? []) {
    stdout.write(`${errorLine(error)}\n`);
  }
}

function rowOf({ id, status, created_at: createdAt, request_counts: counts }: Batch): string {
  const { completed, failed, total } = counts;
  const done = `${grouped(completed)}/${grouped(total)}`;
  const cells = [id, status.padEnd(11), dateOf(createdAt), done, `${grouped(failed)} failed`];
  return cells.map((cell) => printable(cell)).join('  ');
}

function dateOf(seconds: number): string {
  return `${new Date(seconds * 1_000).toISOString().slice(0, 19)}Z`;
}
