/**
 * Outcomes in the order in which they became durable. A cursor is a number of outcomes, so that whoever
 * reads on misses none and gets none twice, before the batch is over and after it.
 *
 * They lie in the segments until the batch's files are written, and then in these, which are the
 * segments' lines in the same order.
 */
import type { FileStore } from '@qarr/file-store';
import { QarrError, contentOf } from '@qarr/router-core';
import type { Segment } from '@qarr/router-core';
import { outcomeFileId } from './finalize-batch.ts';
import { partOf, rangeOf, totalOf } from './segments.ts';
import type { OutcomeFile } from './segments.ts';
import { splitLines } from './split-lines.ts';

export interface ResultsPage {
  /** Each the JSON of an outcome. */
  readonly lines: readonly string[];
  /** Where the next page begins. */
  readonly next: number;
  readonly hasMore: boolean;
}

export interface ResultsOptions {
  /** Outcomes that the reader has; more than there are leads to an empty page. */
  readonly after: number;
  readonly limit: number;
  /** A page ends before it has more, but for its first line. */
  readonly bytesMax: number;
  readonly signal: AbortSignal;
}

/** Lines that stand together in one object. */
interface Run {
  readonly segment: Segment;
  readonly file: OutcomeFile;
  readonly lines: number;
  /** In the file that is made of all of its kind. */
  readonly fileStart: number;
}

/** Throws `file_not_found` where the outcomes were in files that are no more. */
export async function readResults(
  { batchId, segments }: { batchId: string; segments: readonly Segment[] },
  { after, limit, bytesMax, signal }: ResultsOptions,
  { store }: { store: Pick<FileStore, 'read'> },
): Promise<ResultsPage> {
  const lines: string[] = [];
  const runs = runsOf(segments);
  let total = 0;
  for (const run of runs) total += run.lines;
  let room = bytesMax;
  let skipped = 0;

  for (const run of runs) {
    if (skipped + run.lines <= after) {
      skipped += run.lines;
      continue;
    }
    if (lines.length === limit) break;
    let toSkip = Math.max(0, after - skipped);
    skipped += toSkip;
    for await (const text of readRun(batchId, run, { segments, store, signal })) {
      if (toSkip > 0) {
        toSkip -= 1;
        continue;
      }
      room -= Buffer.byteLength(text);
      if (lines.length === limit || (room < 0 && lines.length > 0)) return page();
      lines.push(text);
    }
  }
  return page();

  function page(): ResultsPage {
    const next = after + lines.length;
    return { lines, next, hasMore: next < total };
  }
}

function runsOf(segments: readonly Segment[]): Run[] {
  const starts = { output: 0, error: 0 };
  const runs: Run[] = [];
  for (const segment of segments) {
    for (const file of ['output', 'error'] as const) {
      const { lines, bytes } = partOf(segment, file);
      if (lines > 0) runs.push({ segment, file, lines, fileStart: starts[file] });
      starts[file] += bytes;
    }
  }
  return runs;
}

async function* readRun(
  batchId: string,
  { segment, file, fileStart }: Run,
  {
    segments,
    store,
    signal,
  }: { segments: readonly Segment[]; store: Pick<FileStore, 'read'>; signal: AbortSignal },
): AsyncGenerator<string> {
  const { bytes } = partOf(segment, file);
  const inSegment = await store.read(segment.name, rangeOf(segment, file));
  // The files are written before the segments go.
  const range = { start: fileStart, end: fileStart + bytes };
  const stored = inSegment ?? (await store.read(contentOf(outcomeFileId(batchId, file)), range));
  if (stored === null) throw new QarrError('file_not_found');
  if (inSegment === null && stored.bytes !== totalOf(segments, file).bytes) {
    // It was written without outcomes that were lost: nobody knows where in it the others stand.
    stored.content.destroy();
    throw new QarrError('file_not_found');
  }
  // Whoever stops reading ends the loop, which closes the file.
  for await (const line of splitLines(stored.content, { lineBytesMax: bytes })) {
    signal.throwIfAborted();
    if (line.kind !== 'text') throw new QarrError('internal_error');
    yield line.text;
  }
}
