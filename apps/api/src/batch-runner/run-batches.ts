/**
 * Works on all batches that are not over, a bounded number at once: those that expire first go first,
 * and tenants take turns. What goes wrong with one keeps no other from its work: it is tried again, with
 * growing pauses.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FileStoreError } from '@qarr/file-store';
import { QarrError } from '@qarr/router-core';
import { BatchLost, StaleRun } from './batch-run.ts';
import type { RunDeps } from './batch-run.ts';
import { chooseActive } from './choose-active.ts';
import type { Candidate } from './choose-active.ts';
import type { Term } from './hold-lease.ts';
import { withoutContent } from './plain-error.ts';
import { runBatch } from './run-batch.ts';

/** Between two looks for new batches. */
const ROUND_MS = 500;
/** Of more that wait, those that expire last are not looked at yet. */
const CANDIDATES_MAX = 1_000;
/** What is known of those that wait for their turn is no older: one may have been cancelled. */
const KNOWN_MS = 5_000;
/** Before a batch is tried again, doubled each time: the file store may be full. */
const RETRY_MS = 500;
const RETRY_MS_MAX = 8_000;

interface Running {
  readonly stop: AbortController;
  readonly over: Promise<void>;
}

/** Resolves when the term is over and nothing runs any more. */
export async function runBatches(
  term: Term,
  { activeMax, ...deps }: RunDeps & { activeMax: number },
): Promise<void> {
  const running = new Map<string, Running>();
  const known = new Map<string, Candidate & { readAtMs: number }>();

  while (!term.signal.aborted) {
    // Redis is gone for now: those that run go on.
    await round().catch(() => {});
    await pause(ROUND_MS, term.signal);
  }
  await Promise.all([...running.values()].map(({ over }) => over));

  async function round(): Promise<void> {
    const ids = await deps.store.batchRuns.unfinished(CANDIDATES_MAX);
    const listed = new Set(ids);
    for (const id of known.keys()) if (!listed.has(id)) known.delete(id);
    const isCrowded = ids.length > activeMax;
    const active = isCrowded ? chooseActive(await candidates(ids), activeMax) : listed;
    for (const [id, { stop }] of running) if (!active.has(id)) stop.abort();
    for (const id of active) {
      if (!running.has(id) && running.size < activeMax) start(id);
    }
  }

  async function candidates(ids: readonly string[]): Promise<Candidate[]> {
    const nowMs = performance.now();
    for (const id of ids) {
      if (nowMs - (known.get(id)?.readAtMs ?? -KNOWN_MS) < KNOWN_MS) continue;
      const record = await deps.store.batches.get(id);
      if (record === null) continue;
      const { owner, state } = record;
      known.set(id, { id, owner, isUrgent: state === 'cancelling', readAtMs: nowMs });
    }
    return ids.flatMap((id) => known.get(id) ?? []);
  }

  function start(batchId: string): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([term.signal, stop.signal]);
    const over = runUntilOver(batchId, signal).finally(() => running.delete(batchId));
    running.set(batchId, { stop, over });
  }

  /** Never rejects. */
  async function runUntilOver(batchId: string, signal: AbortSignal): Promise<void> {
    const log = deps.log.child({ batch: batchId });
    for (let pauseMs = RETRY_MS; !signal.aborted; pauseMs = Math.min(RETRY_MS_MAX, 2 * pauseMs)) {
      const begunAtMs = performance.now();
      try {
        await runBatch({ batchId, term, signal, deps, log });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof BatchLost) {
          log.info({ why: error.message }, 'another runner has the batch, or it is gone');
        } else if (error instanceof QarrError || error instanceof FileStoreError) {
          const cause = error instanceof QarrError ? error.code : error.problem;
          log.warn({ cause }, 'the batch waits, and is tried again');
        } else if (error instanceof StaleRun) {
          log.warn(error.message);
        } else {
          deps.metrics.failed();
          log.error({ err: withoutContent(error) }, 'the run of a batch failed; it is tried again');
        }
        // It went well for a while: this is another trouble.
        if (performance.now() - begunAtMs > 10 * RETRY_MS_MAX) pauseMs = RETRY_MS;
        await pause(pauseMs, signal);
      }
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
