/** A batch as the feeder sees it: reads a line, makes a job of it, and notes what became of that. */
import { FileStoreError } from '@qarr/file-store';
import { QarrError, contentOf, parseBatchLine } from '@qarr/router-core';
import type { BatchLine, BatchRecord, EntryLimits } from '@qarr/router-core';
import type { LineStandings } from './line-standings.ts';
import type { BatchRun } from './batch-run.ts';
import { feedLine } from './feed-line.ts';
import type { FedBatch, LineFed } from './feeding.ts';
import type { LineIndex } from './line-index.ts';
import { createLineReader } from './line-reader.ts';
import { outcomeOfRefusal, unanswered } from './outcome-line.ts';
import type { LineOutcome } from './outcome-line.ts';

/** The file store does not answer: other batches go on meanwhile. */
const RETRY_MS = 2_000;

export interface LineTexts {
  /** Throws `file_not_found` where its file is gone or is not the one that was validated. */
  read(line: number): Promise<BatchLine>;
}

/** Null: there is no index of the input file. */
export function createLineTexts(
  { endpoint, inputFileId }: BatchRecord,
  index: LineIndex | null,
  { deps }: BatchRun,
): LineTexts {
  const reader =
    index === null
      ? null
      : createLineReader({ store: deps.files, name: contentOf(inputFileId), index });
  return {
    async read(line) {
      if (reader === null) throw new QarrError('file_not_found');
      const reading = parseBatchLine(await reader.read(line), { endpoint, number: line + 1 });
      if (reading.kind === 'wrong') throw new QarrError('file_not_found');
      return reading;
    },
  };
}

export function createFedBatch({
  record,
  lines,
  texts,
  run: { term, deps },
  isHeld,
  onOutcome,
  onError,
}: {
  record: BatchRecord;
  lines: LineStandings;
  texts: LineTexts;
  run: BatchRun;
  /** Nothing is to be fed now. */
  isHeld: () => boolean;
  onOutcome: (outcome: LineOutcome) => void;
  onError: (error: unknown) => void;
}): FedBatch {
  /** Until then nothing of it can be fed, for a reason that is its own. */
  let pausedUntilMs = 0;

  async function feed(line: number, limitsOf: (tier: string) => EntryLimits): Promise<LineFed> {
    const read = await texts.read(line).catch((error: unknown) => {
      if (error instanceof QarrError) return error;
      throw error;
    });
    if (read instanceof QarrError) {
      onOutcome(outcomeOfRefusal({ batch: record, line, customId: '' }, read));
      return 'ok';
    }
    const { customId } = read;
    const found = await feedLine(
      { ...read, line },
      { batch: record, now: term.now(), writeBefore: term.validUntil(), limitsOf },
      deps,
    );
    switch (found.kind) {
      case 'in_system':
        lines.fed(line, found.tier);
        deps.metrics.fed(found.tier);
        return 'ok';
      case 'refused':
        onOutcome(outcomeOfRefusal({ batch: record, line, customId }, found.error));
        return 'ok';
      case 'deleted':
        onOutcome(unanswered({ batch: record, line, customId }, 'job_deleted', null));
        return 'ok';
      case 'over_quota':
        pausedUntilMs = performance.now() + found.retryInMs;
        return 'ok';
      case 'full':
      case 'unavailable':
        lines.giveBack(line, found.kind === 'full' ? found.tier : null);
        return found.kind;
      default:
        return found satisfies never;
    }
  }

  return {
    id: record.id,
    owner: record.owner,
    windowMs: record.windowMs,
    inTier: lines.inTier,
    hasPending: (tier) => !isHeld() && performance.now() >= pausedUntilMs && lines.hasPending(tier),
    async feedOne(tier, limitsOf) {
      const line = lines.take(tier);
      if (line === null) return 'ok';
      try {
        return await feed(line, limitsOf);
      } catch (error) {
        if (error instanceof FileStoreError) pausedUntilMs = performance.now() + RETRY_MS;
        else onError(error);
        return 'ok';
      } finally {
        // Whatever kept it from being fed, its turn comes again.
        lines.giveBack(line, null);
      }
    },
  };
}
