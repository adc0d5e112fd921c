/**
 * Writes the output file and the error file of a batch out of its segments.
 *
 * It may be done again, by whoever finds it not done: the files have the same ids and the same content
 * each time. A file is there as a whole or not at all, and one that would have other lines than were
 * counted is never there.
 */
import { createHash } from 'node:crypto';
import type { FileStore } from '@qarr/file-store';
import type { FileRecords } from '@qarr/job-store';
import { contentOf } from '@qarr/router-core';
import type { BatchRecord, Segment } from '@qarr/router-core';
import { rangeOf, partOf, totalOf } from './segments.ts';
import type { OutcomeFile } from './segments.ts';

export interface FinalizeDeps {
  readonly store: Pick<FileStore, 'read' | 'write'>;
  readonly files: Pick<FileRecords, 'create'>;
}

export type FinishedBatch = Pick<
  BatchRecord,
  'id' | 'owner' | 'total' | 'completed' | 'failed' | 'outputKeptMs'
>;

const NEWLINE = 0x0a;
/** Of an id. */
const DIGITS = 32;

/**
 * Null for a file that would have no lines. Throws a FileStoreError, or an Error where the segments
 * are not what was counted, which no further try mends.
 */
export async function finalizeBatch(
  batch: FinishedBatch,
  segments: readonly Segment[],
  { store, files, signal }: FinalizeDeps & { signal: AbortSignal },
): Promise<{ outputFileId: string | null; errorFileId: string | null }> {
  const { total, completed, failed } = batch;
  const [output, error] = [totalOf(segments, 'output'), totalOf(segments, 'error')];
  if (output.lines !== completed || error.lines !== failed || completed + failed !== total) {
    throw new Error('The segments of a batch are not what was counted');
  }

  async function write(file: OutcomeFile): Promise<string | null> {
    const { lines, bytes } = totalOf(segments, file);
    if (lines === 0) return null;
    const id = outcomeFileId(batch.id, file);
    const content = verified(segments, file, { store, signal });
    const written = await store.write(contentOf(id), content, { bytesMax: bytes, signal });
    await files.create(
      {
        id,
        owner: batch.owner,
        filename: `${batch.id}_${file}.jsonl`,
        purpose: 'batch_output',
        ...written,
        keptMs: batch.outputKeptMs,
      },
      null,
    );
    return id;
  }

  return { outputFileId: await write('output'), errorFileId: await write('error') };
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
  { store, signal }: Pick<FinalizeDeps, 'store'> & { signal: AbortSignal },
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

function damaged({ name }: Segment): Error {
  return new Error(`The segment ${name} is not what was written`);
}
