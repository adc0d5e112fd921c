/**
 * Where outcomes are written while they come: `FILE.part`, which becomes `FILE` only when it is whole.
 *
 * `FILE.resume` says how far they are good, and is written after each page. Whoever takes it up cuts
 * them there and asks for what follows: nothing is lost or doubled, however the last one ended.
 */
import { open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { BatchOutcome } from '@qarr/client';
import { CliError, badValue, messageOf } from '../cli-error.ts';
import { isRecord } from '../is-record.ts';

export interface Tally {
  completed: number;
  failed: number;
  tiers: Record<string, number>;
}

interface Checkpoint extends Tally {
  readonly batch: string;
  cursor: string;
  outputBytes: number;
  /** Null where failed lines are only counted. */
  errorBytes: number | null;
}

export interface OutputFiles {
  /** Another batch, of which there was a part: it is discarded. */
  readonly replaces: string | null;
  readonly cursor: string;
  readonly tally: Readonly<Tally>;
  readonly outputBytes: number;
  readonly errorBytes: number | null;
  /** In their order; `cursor` is what follows them. */
  append(outcomes: readonly BatchOutcome[], cursor: string): Promise<void>;
  /** Instead of what was written so far. */
  replace(which: 'output' | 'errors', content: AsyncIterable<Uint8Array>): Promise<void>;
  /** They are whole: gives them their names. */
  finish(): Promise<void>;
  /** There is nothing to keep. */
  discard(): Promise<void>;
  /** Leaves them to be taken up. */
  close(): Promise<void>;
}

export interface OutputPaths {
  readonly output: string;
  readonly errors: string | undefined;
}

/**
 * Before hours of work are begun whose result could not be written, or would be written over what it
 * is made of. What bears its name already is replaced.
 *
 * @param input the file that is read meanwhile, where there is one
 */
export async function requireWritable(
  { output, errors }: OutputPaths,
  input: string | null = null,
): Promise<void> {
  const paths = [output, ...(errors === undefined ? [] : [errors])];
  await requireApart(paths, input);
  for (const path of paths) {
    const handle = await openPart(path);
    const bytes = await sizeOf(handle);
    await handle.close();
    if (bytes === 0) await rm(`${path}.part`);
  }
}

async function requireApart(paths: readonly string[], input: string | null): Promise<void> {
  const inputIdentity = input === null ? null : await identityOf(input);
  const found = new Set<string>();
  for (const path of paths) {
    const names = [path, `${path}.part`, ...(path === paths[0] ? [`${path}.resume`] : [])];
    for (const name of names) {
      const identity = await identityOf(name);
      if (identity === inputIdentity) throw badValue(`${name} would be written over the input`);
      if (found.has(identity)) {
        throw badValue(`${name} would be written twice: name other files for -o and --errors`);
      }
      found.add(identity);
    }
  }
}

/** The same for all names of a file, also where it is still to be made. */
async function identityOf(path: string): Promise<string> {
  const there = await stat(path, { bigint: true }).catch(() => null);
  if (there?.isDirectory() === true) throw badValue(`${path} is a folder`);
  if (there !== null) return `${there.dev}:${there.ino}`;
  const folder = await realpath(dirname(path)).catch(() => dirname(path));
  return join(folder, basename(path));
}

/** Takes up what there is of this batch, or begins anew. Throws a CliError of one line. */
export async function openOutputFiles(
  { output, errors }: OutputPaths,
  batchId: string,
): Promise<OutputFiles> {
  const resumePath = `${output}.resume`;
  const paths = [output, ...(errors === undefined ? [] : [errors])];
  const outputPart = await openPart(output);
  const errorPart = errors === undefined ? null : await openPart(errors);
  const found = await readCheckpoint(resumePath);
  const isGood =
    found?.batch === batchId &&
    (found.errorBytes !== null) === (errorPart !== null) &&
    (await sizeOf(outputPart)) >= found.outputBytes &&
    (errorPart === null || (await sizeOf(errorPart)) >= (found.errorBytes ?? 0));
  const state: Checkpoint =
    isGood && found !== null ? found : newCheckpoint(batchId, errorPart !== null);
  await outputPart.truncate(state.outputBytes);
  await errorPart?.truncate(state.errorBytes ?? 0);

  async function close(): Promise<void> {
    await outputPart.close();
    await errorPart?.close();
  }
  return {
    replaces: found === null || found.batch === batchId ? null : found.batch,
    get cursor() {
      return state.cursor;
    },
    tally: state,
    get outputBytes() {
      return state.outputBytes;
    },
    get errorBytes() {
      return state.errorBytes;
    },
    async append(outcomes, cursor) {
      const good = outcomes.filter((outcome) => !isFailed(outcome));
      const bad = outcomes.filter(isFailed);
      state.outputBytes += await writeAt(outputPart, state.outputBytes, good);
      if (errorPart !== null) {
        state.errorBytes =
          (state.errorBytes ?? 0) + (await writeAt(errorPart, state.errorBytes ?? 0, bad));
      }
      state.completed += good.length;
      state.failed += bad.length;
      for (const { qarr_tier: tier } of outcomes) {
        if (tier !== null) state.tiers[tier] = (state.tiers[tier] ?? 0) + 1;
      }
      state.cursor = cursor;
      await replaceFile(resumePath, JSON.stringify(state));
    },
    async replace(which, content) {
      const part = which === 'output' ? outputPart : errorPart;
      if (part === null) return;
      await part.truncate(0);
      let bytes = 0;
      for await (const chunk of content) {
        await part.write(chunk, 0, chunk.length, bytes);
        bytes += chunk.length;
      }
    },
    async finish() {
      await outputPart.sync();
      await errorPart?.sync();
      await close();
      for (const path of paths) await rename(`${path}.part`, path);
      await rm(resumePath, { force: true });
    },
    async discard() {
      await close();
      for (const path of [...paths.map((name) => `${name}.part`), resumePath]) {
        await rm(path, { force: true });
      }
    },
    close,
  };
}

/** As the batch has it in its error file: not answered, or with an error. */
function isFailed({ response, error }: BatchOutcome): boolean {
  return error !== null || response === null || response.status_code >= 400;
}

async function openPart(path: string): Promise<FileHandle> {
  try {
    // Made where it is missing, and kept where it is not.
    const made = await open(`${path}.part`, 'a');
    await made.close();
    return await open(`${path}.part`, 'r+');
  } catch (error) {
    throw new CliError(`${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

async function sizeOf(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  return size;
}

async function writeAt(
  handle: FileHandle,
  position: number,
  outcomes: readonly BatchOutcome[],
): Promise<number> {
  if (outcomes.length === 0) return 0;
  const bytes = Buffer.from(outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join(''));
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await handle.write(
      bytes,
      written,
      bytes.length - written,
      position + written,
    );
    written += bytesWritten;
  }
  return bytes.length;
}

/** There is the former one or this one, never a part of it. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

async function readCheckpoint(path: string): Promise<Checkpoint | null> {
  try {
    const found: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isRecord(found) && isCheckpoint(found) ? found : null;
  } catch {
    // There is none, or none that can be read: what it stood for is fetched again.
    return null;
  }
}

function isCheckpoint(found: object): found is Checkpoint {
  const { batch, cursor, outputBytes, errorBytes, completed, failed, tiers } =
    found as Partial<Checkpoint>;
  const areTexts = typeof batch === 'string' && typeof cursor === 'string';
  const areCounts = [outputBytes, errorBytes ?? 0, completed, failed].every(Number.isSafeInteger);
  return areTexts && areCounts && isRecord(tiers);
}

function newCheckpoint(batch: string, hasErrors: boolean): Checkpoint {
  const counts = { completed: 0, failed: 0, tiers: {} };
  return { batch, cursor: '0', outputBytes: 0, errorBytes: hasErrors ? 0 : null, ...counts };
}
