/** Outcomes as an object of the file store, which a batch's files are made of. */
import type { Segment } from '@qarr/router-core';
import type { LineOutcome } from './outcome-line.ts';

/** `batches/<id>/`: what is left of a batch there when it is over can go. */
export function batchPrefix(batchId: string): string {
  return `batches/${batchId}/`;
}

/** No two segments have the same name: an epoch is one runner's, which counts its own. */
export function segmentName(batchId: string, { epoch, n }: { epoch: number; n: number }): string {
  return `${batchPrefix(batchId)}${epoch}-${n}`;
}

/** The lines of the output file before those of the error file, each with its line break. */
export function encodeSegment(
  name: string,
  outcomes: readonly LineOutcome[],
): { segment: Segment; content: Uint8Array } {
  const output = linesOf(outcomes.filter(({ isCompleted }) => isCompleted));
  const error = linesOf(outcomes.filter(({ isCompleted }) => !isCompleted));
  const segment = {
    name,
    outputLines: output.lines,
    outputBytes: output.content.byteLength,
    errorLines: error.lines,
    errorBytes: error.content.byteLength,
  };
  return { segment, content: Buffer.concat([output.content, error.content]) };
}

function linesOf(outcomes: readonly LineOutcome[]): { lines: number; content: Buffer } {
  const text = outcomes.map((outcome) => `${outcome.text}\n`).join('');
  return { lines: outcomes.length, content: Buffer.from(text) };
}

export type OutcomeFile = 'output' | 'error';

/** Of the lines of one file in a segment. */
export function partOf(segment: Segment, file: OutcomeFile): { lines: number; bytes: number } {
  return file === 'output'
    ? { lines: segment.outputLines, bytes: segment.outputBytes }
    : { lines: segment.errorLines, bytes: segment.errorBytes };
}

/** Where the lines of one file stand in the segment's object. */
export function rangeOf(segment: Segment, file: OutcomeFile): { start: number; end: number } {
  const { outputBytes, errorBytes } = segment;
  return file === 'output'
    ? { start: 0, end: outputBytes }
    : { start: outputBytes, end: outputBytes + errorBytes };
}

/** All of one file. */
export function totalOf(
  segments: readonly Segment[],
  file: OutcomeFile,
): { lines: number; bytes: number } {
  let [lines, bytes] = [0, 0];
  for (const segment of segments) {
    const part = partOf(segment, file);
    lines += part.lines;
    bytes += part.bytes;
  }
  return { lines, bytes };
}
