/**
 * Finished lines on their way to being durable: they are collected until there are enough of them, then
 * written as a segment, which counts once it is committed.
 */
import { FileStoreError } from '@qarr/file-store';
import type { BatchUsage } from '@qarr/router-core';
import { written } from './batch-run.ts';
import type { BatchRun } from './batch-run.ts';
import { commitWaitMs } from './commit-wait.ts';
import { NO_USAGE } from './outcome-line.ts';
import type { LineOutcome } from './outcome-line.ts';
import { encodeSegment, segmentName } from './segments.ts';

/** The file store has no room, or does not answer. */
const RETRY_MS = 2_000;

export interface Collector {
  add(outcome: LineOutcome): void;
  /** It is time to commit them. */
  isDue(options: { hasMore: boolean }): boolean;
  /** Returns the lines that are durable now; none where they could not be written, which is tried again. */
  commit(): Promise<number[]>;
  /** What is not durable is left to whoever opens the batch next. */
  close(): void;
}

export function createCollector(
  { batchId, term, deps, log }: BatchRun,
  { beganAt, segments: segmentsBefore }: { beganAt: number; segments: number },
): Collector {
  const { commit: options } = deps.config;
  const share = deps.held.open();
  let outcomes: LineOutcome[] = [];
  let bytes = 0;
  let firstAt = 0;
  let retryAtMs = 0;
  let isHeld = false;
  let segments = segmentsBefore;

  function waitMs(): number {
    const ageMs = term.now() - beganAt;
    return commitWaitMs({ ageMs, segments, waitMsMax: options.waitMsMax });
  }

  /** Returns false where the file store does not take it now. */
  async function write(name: string, content: Uint8Array): Promise<boolean> {
    try {
      await deps.files.write(name, whole(content), { bytesMax: content.byteLength });
    } catch (error) {
      if (!(error instanceof FileStoreError)) throw error;
      retryAtMs = performance.now() + RETRY_MS;
      if (!isHeld) log.warn({ cause: error.problem }, 'finished lines wait for the file store');
      isHeld = true;
      share.refused(true);
      return false;
    }
    if (isHeld) log.info('the file store takes finished lines again');
    isHeld = false;
    share.refused(false);
    return true;
  }

  return {
    add(outcome) {
      if (outcomes.length === 0) firstAt = term.now();
      outcomes.push(outcome);
      const more = Buffer.byteLength(outcome.text);
      bytes += more;
      share.add({ lines: 1, bytes: more });
    },

    isDue({ hasMore }) {
      if (outcomes.length === 0 || performance.now() < retryAtMs) return false;
      const isEnough = outcomes.length >= options.lines || bytes >= options.bytes;
      return isEnough || !hasMore || share.isToShrink() || term.now() - firstAt >= waitMs();
    },

    async commit() {
      const begunAtMs = performance.now();
      // More come in while these are being written.
      const these = outcomes;
      const size = { lines: these.length, bytes };
      outcomes = [];
      bytes = 0;
      const lines = these.map(({ line }) => line);
      // No other content ever has this name: what no list names may be removed at any time.
      const name = segmentName(batchId, { epoch: term.epoch, n: term.nextNumber() });
      const { segment, content } = encodeSegment(name, these);
      if (!(await write(name, content))) {
        outcomes = these.concat(outcomes);
        bytes += size.bytes;
        return [];
      }
      const usage = these.reduce((sum, outcome) => added(sum, outcome.usage), NO_USAGE);
      written(
        await deps.store.batchRuns.commit(batchId, term.epoch, {
          segment,
          lines,
          usage,
        }),
      );
      segments += 1;
      share.remove(size);
      deps.metrics.committed({ lines: lines.length, tookMs: performance.now() - begunAtMs });
      return lines;
    },

    close: share.close,
  };
}

function added(sum: BatchUsage, usage: BatchUsage): BatchUsage {
  return {
    promptTokens: sum.promptTokens + usage.promptTokens,
    cachedTokens: sum.cachedTokens + usage.cachedTokens,
    completionTokens: sum.completionTokens + usage.completionTokens,
    reasoningTokens: sum.reasoningTokens + usage.reasoningTokens,
  };
}

async function* whole(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content;
}
