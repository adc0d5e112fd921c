/**
 * Writes the output file and the error file of a batch out of its segments.
 *
 * It may be done again, by whoever finds it not done: the files have the same ids and the same content
 * each time. A file is there as a whole or not at all, and one that would have other lines than were
 * counted is there only where these are lost for good, which is told.
 */
import { createHash } from 'node:crypto';
import type { FileStore, Written } from '@qarr/file-store';
import type { FileRecords } from '@qarr/job-store';
import { contentOf } from '@qarr/router-core';
import type { BatchRecord, Segment } from '@qarr/router-core';
import { PlainError } from './plain-error.ts';
import { rangeOf, partOf, totalOf } from './segments.ts';
import type { OutcomeFile } from './segments.ts';

export interface FinalizeDeps {
  readonly store: Pick<FileStore, 'read' | 'write'>;
  readonly files: Pick<FileRecords, 'create'>;
  /** Throws where the batch is another runner's by now. */
  readonly stillOurs: () => Promise<void>;
  readonly signal: AbortSignal;
}

export type FinishedBatch = Pick<
  BatchRecord,
  'id' | 'owner' | 'total' | 'completed' | 'failed' | 'outputKeptMs'
>;

/** The outcomes in the file store are not what was counted. */
export class OutcomesDamaged extends PlainError {
  override readonly name = 'OutcomesDamaged';
}

const NEWLINE = 0x0a;
/** Of an id. */
const DIGITS = 32;

/**
 * A file that would have no lines has no id. Throws a FileStoreError, or an OutcomesDamaged.
 *
 * @param isLost what is damaged will not come back: the files are written without it
 */
export async function finalizeBatch(
  batch: FinishedBatch,
  segments: readonly Segment[],
  { isLost = false, ...deps }: FinalizeDeps & { isLost?: boolean },
): Promise<{ outputFileId: string | null; errorFileId: string | null; lostLines: number }> {
  const { total, completed, failed } = batch;
  const [output, error] = [totalOf(segments, 'output'), totalOf(segments, 'error')];
  const isCounted =
    output.lines === completed && error.lines === failed && completed + failed === total;
  if (!isCounted && !isLost) {
    throw new OutcomesDamaged('The segments of a batch are not what was counted');
  }
  let lines = 0;

  async function make(file: OutcomeFile): Promise<string | null> {
    const id = outcomeFileId(batch.id, file);
    const made = await madeOf(segments, { file, id, isLost, deps });
    if (made === null) return null;
    await deps.stillOurs();
    await deps.files.create(
      {
        id,
        owner: batch.owner,
        filename: `${batch.id}_${file}.jsonl`,
        purpose: 'batch_output',
        bytes: made.bytes,
        sha256: made.sha256,
        keptMs: batch.outputKeptMs,
      },
      null,
    );
    lines += made.lines;
    return id;
  }

  const ids = { outputFileId: await make('output'), errorFileId: await make('error') };
  return { ...ids, lostLines: total - lines };
}

type Made = Written & { readonly lines: number };

/** Null where it has no lines. */
async function madeOf(
  segments: readonly Segment[],
  {
    file,
    id,
    isLost,
    deps,
  }: { file: OutcomeFile; id: string; isLost: boolean; deps: FinalizeDeps },
): Promise<Made | null> {
  const { store, signal } = deps;
  const write = async (some: readonly Segment[]): Promise<Made | null> => {
    const { lines, bytes } = totalOf(some, file);
    if (lines === 0) return null;
    await deps.stillOurs();
    const content = verified(some, file, deps);
    return { lines, ...(await store.write(contentOf(id), content, { bytesMax: bytes, signal })) };
  };
  try {
    return await write(segments);
  } catch (error) {
    if (!(error instanceof OutcomesDamaged)) throw error;
    // It was written before, and Redis has lost that.
    const there = await readWhole(id, totalOf(segments, file), deps);
    if (there !== null) return there;
    if (!isLost) throw error;
  }
  const whole: Segment[] = [];
  for (const segment of segments) if (await isWhole(segment, file, deps)) whole.push(segment);
  return write(whole);
}

async function isWhole(segment: Segment, file: OutcomeFile, deps: FinalizeDeps): Promise<boolean> {
  try {
    for await (const _ of verified([segment], file, deps));
    return true;
  } catch (error) {
    if (error instanceof OutcomesDamaged) return false;
    throw error;
  }
}

/** What is known of a file that is there with all that was counted; else null. */
async function readWhole(
  id: string,
  counted: { lines: number; bytes: number },
  { store, signal }: FinalizeDeps,
): Promise<Made | null> {
  const stored = await store.read(contentOf(id));
  if (stored === null) return null;
  const hash = createHash('sha256');
  let [bytes, lines] = [0, 0];
  for await (const chunk of stored.content as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    hash.update(chunk);
    bytes += chunk.length;
    lines += newlinesIn(chunk);
  }
  const isThere = bytes === counted.bytes && lines === counted.lines;
  return isThere ? { bytes, lines, sha256: hash.digest('hex') } : null;
}

/** The same each time, and as hard to guess as the batch's. */
export function outcomeFileId(batchId: string, file: OutcomeFile): string {
  const digits = createHash('sha256').update(`${batchId} ${file}`).digest('hex');
  return `file-${digits.slice(0, DIGITS)}`;
}

/** Throws, and so leaves nothing behind, where a part is not what was counted. */
async function* verified(
  segments: readonly Segment[],
  file: OutcomeFile,
  { store, signal }: Pick<FinalizeDeps, 'store' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  for (const segment of segments) {
    const counted = partOf(segment, file);
    if (counted.bytes === 0) continue;
    signal.throwIfAborted();
    const stored = await store.read(segment.name, rangeOf(segment, file));
    if (stored === null) throw damaged(segment);
    let [bytes, lines, last] = [0, 0, 0];
    for await (const chunk of stored.content as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      lines += newlinesIn(chunk);
      last = chunk.at(-1) ?? last;
      yield chunk;
    }
    if (bytes !== counted.bytes || lines !== counted.lines || last !== NEWLINE) {
      throw damaged(segment);
    }
  }
}

function newlinesIn(chunk: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}

function damaged({ name }: Segment): OutcomesDamaged {
  return new OutcomesDamaged(`The segment ${name} is not what was written`);
}
