/**
 * Works on all batches that are not over, a bounded number at once: those that expire first go first,
 * and tenants take turns. One of which nothing can be done for a while gives its place to another, and
 * rests. What goes wrong with one keeps no other from its work: it is tried again, with growing pauses.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { FileStoreError } from '@qarr/file-store';
import type { BatchUrgency } from '@qarr/job-store';
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
/** Batches looked for in one round: of more, others in the next. */
const PAGE = 1_000;
/** What is known of those that wait for their turn is no older: one may have been cancelled. */
const KNOWN_MS = 5_000;
/** So many rounds one may have nothing to do while others wait for its place, and rests so long then. */
const IDLE_ROUNDS = 6;
const REST_ROUNDS = 120;
/** Before a batch is tried again, doubled each time: the file store may be full. */
const RETRY_MS = 500;
const RETRY_MS_MAX = 8_000;

interface Running {
  readonly stop: AbortController;
  readonly over: Promise<void>;
}

/** What a run has to do. */
interface Work {
  /** Nothing but to wait. */
  isIdle: () => boolean;
  idleRounds: number;
}

/** A batch that is not over. */
interface Known extends BatchUrgency {
  readonly id: string;
  readonly readAtMs: number;
}

/** Resolves when the term is over and nothing runs any more. */
export async function runBatches(
  term: Term,
  { activeMax, ...deps }: RunDeps & { activeMax: number },
  { roundMs = ROUND_MS, restRounds = REST_ROUNDS, page = PAGE, run = runBatch } = {},
): Promise<void> {
  const running = new Map<string, Running>();
  const works = new Map<string, Work>();
  /** Those that are not over, and the sweep that has come across each last. */
  const listed = new Map<string, number>();
  const known = new Map<string, Known>();
  /** Those that rest, and until which round. */
  const resting = new Map<string, number>();
  let [round, sweep, from] = [0, 0, 0];

  while (!term.signal.aborted) {
    round += 1;
    // Redis is gone for now: those that run go on.
    await look().catch(() => {});
    await pause(roundMs, term.signal);
  }
  await Promise.all([...running.values()].map(({ over }) => over));

  async function look(): Promise<void> {
    const ids = await list();
    const isCrowded = listed.size > activeMax;
    if (isCrowded) await learn(ids);
    for (const id of known.keys()) if (!isCrowded || !listed.has(id)) known.delete(id);
    restIdle(isCrowded);
    const active = isCrowded ? chooseActive(candidates(), activeMax) : new Set(listed.keys());
    for (const [id, { stop }] of running) if (!active.has(id)) stop.abort();
    for (const id of active) {
      if (!running.has(id) && running.size < activeMax) start(id);
    }
  }

  /** The next part of all that are not over. */
  async function list(): Promise<string[]> {
    const ids = await deps.store.batchRuns.unfinished(page, from);
    for (const id of ids) listed.set(id, sweep);
    from += ids.length;
    if (ids.length === page) return ids;
    // One may be missed in a sweep of several parts, as all move up while they are read.
    const seenMin = from < page ? sweep : sweep - 1;
    for (const [id, seen] of listed) if (seen < seenMin) listed.delete(id);
    sweep += 1;
    from = 0;
    return ids;
  }

  async function learn(ids: readonly string[]): Promise<void> {
    const readAtMs = performance.now();
    const old = ids.filter((id) => readAtMs - (known.get(id)?.readAtMs ?? -KNOWN_MS) >= KNOWN_MS);
    const found = await deps.store.batchRuns.urgencies(old);
    for (const [at, id] of old.entries()) {
      const urgency = found[at] ?? null;
      if (urgency === null) known.delete(id);
      else known.set(id, { ...urgency, id, readAtMs });
    }
  }

  function candidates(): Candidate[] {
    const now = term.now();
    return [...known.values()]
      .toSorted((one, other) => one.expiresAt - other.expiresAt)
      .map(({ id, owner, state, expiresAt }) => ({
        id,
        owner,
        isUrgent: state === 'cancelling' || expiresAt <= now,
        isResting: resting.has(id),
      }));
  }

  function restIdle(isCrowded: boolean): void {
    for (const [id, until] of resting) if (until <= round) resting.delete(id);
    for (const [id, work] of works) {
      work.idleRounds = isCrowded && work.isIdle() ? work.idleRounds + 1 : 0;
      if (work.idleRounds === IDLE_ROUNDS) resting.set(id, round + restRounds);
    }
  }

  function start(batchId: string): void {
    const stop = new AbortController();
    const signal = AbortSignal.any([term.signal, stop.signal]);
    const work: Work = { isIdle: () => false, idleRounds: 0 };
    works.set(batchId, work);
    const over = runUntilOver(batchId, { signal, work }).finally(() => {
      running.delete(batchId);
      works.delete(batchId);
      // One that is over needs not be looked at again.
      if (!signal.aborted) listed.delete(batchId);
    });
    running.set(batchId, { stop, over });
  }

  /** Never rejects. */
  async function runUntilOver(
    batchId: string,
    { signal, work }: { signal: AbortSignal; work: Work },
  ): Promise<void> {
    const log = deps.log.child({ batch_id: batchId });
    const asksIdle = (isIdle: Work['isIdle']) => void (work.isIdle = isIdle);
    for (let pauseMs = RETRY_MS; !signal.aborted; pauseMs = Math.min(RETRY_MS_MAX, 2 * pauseMs)) {
      const begunAtMs = performance.now();
      asksIdle(() => false);
      try {
        await run({ batchId, term, signal, asksIdle, deps, log });
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
        asksIdle(() => true);
        await pause(pauseMs, signal);
      }
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
