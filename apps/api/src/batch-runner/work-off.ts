/** Brings each line of a batch to its durable outcome: feeds, collects, commits. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenedBatch } from '@qarr/job-store';
import { QarrError, lineJobId } from '@qarr/router-core';
import type { BatchRecord, JobRecord } from '@qarr/router-core';
import { createLineStandings } from './line-standings.ts';
import { BatchLost, StaleRun, written } from './batch-run.ts';
import type { BatchRun } from './batch-run.ts';
import { createCollector } from './collecting.ts';
import { createFedBatch, createLineTexts } from './fed-batch.ts';
import type { LineTexts } from './fed-batch.ts';
import { NO_TIER } from './line-index.ts';
import type { LineIndex } from './line-index.ts';
import { hasRunOutOfTime, outcomeOfJob, unanswered } from './outcome-line.ts';
import type { LineOutcome, OutcomeOf } from './outcome-line.ts';

/** Lines in one go: ended ones that are read, with their answers, and those that get the batch's end. */
const PAGE = 200;
/** Between two looks for lines that have ended, while some do. */
const POLL_MS = 20;
/** While none does. */
const POLL_MS_MAX = 250;
/** Between two looks at the batch itself: is it cancelled, is its time up? */
const LOOK_MS = 1_000;
/** Between two comparisons with what Redis has: it may have lost its last second. */
const COMPARE_MS = 5_000;
const CANCELS_AT_ONCE = 16;

/** What the batch does with the lines that are left. */
type BatchEnding = 'batch_expired' | 'batch_cancelled' | null;

/** Resolves when each line has a durable outcome, or the run's signal is aborted. */
export async function workOff(
  opened: OpenedBatch,
  index: LineIndex | null,
  run: BatchRun,
): Promise<void> {
  const { batchId, term, deps, signal } = run;
  const { store, feeder, held } = deps;
  const runs = store.batchRuns;
  let { record } = opened;
  const tiers = new Set(deps.watch.policy().tiers.map(({ name }) => name));
  const lines = createLineStandings({
    total: record.total,
    planOf(line) {
      const planned = index?.planOf(line) ?? NO_TIER;
      // One that was configured then may be gone: where it belongs is found when it is fed.
      return tiers.has(planned) ? planned : NO_TIER;
    },
    done: opened.done,
    inSystem: await store.batches.linesInSystem(batchId),
  });
  const texts = createLineTexts(record, index, run);
  const collector = createCollector(run, {
    beganAt: record.inProgressAt ?? record.createdAt,
    segments: opened.segments.length,
  });
  let ending: BatchEnding = opened.isExpiring ? 'batch_expired' : null;
  let failure: unknown = null;
  const asked = new Set<number>();
  let isSettled = false;
  let forgetting = Promise.resolve();

  function collect(outcome: LineOutcome): void {
    if (lines.collected(outcome.line)) collector.add(outcome);
  }

  const batch = createFedBatch({
    record,
    lines,
    texts,
    run,
    isHeld: () => ending !== null || failure !== null || signal.aborted,
    onOutcome: collect,
    onError: (error) => (failure = error),
  });
  const leave = feeder.add(batch);
  // Its key has no tokens left, its tiers are down, or others are fed before it.
  run.asksIdle(() => {
    const inWork = lines.count('taken') + lines.count('in_system') + lines.count('collected');
    return inWork === 0 && lines.count('pending') > 0 && ending === null && !held.isBlocked();
  });
  const unwatch = deps.metrics.watch(batchId, (standing) => lines.count(standing));
  let [lookAtMs, compareAtMs, pauseMs] = [0, performance.now() + COMPARE_MS, POLL_MS];
  try {
    while (!signal.aborted && lines.count('done') < lines.total) {
      if (failure !== null) throw failure;
      if (performance.now() >= lookAtMs) await look();
      if (performance.now() >= compareAtMs) await compare();
      let found = await collectEnded();
      if (ending !== null) found += await endTheRest(ending);
      await commitIfDue();
      if (found > 0) feeder.wake();
      pauseMs = found > 0 ? POLL_MS : Math.min(POLL_MS_MAX, 2 * pauseMs);
      if (found < PAGE) await sleep(pauseMs, null, { signal }).catch(() => {});
    }
    // This process stops, and has a moment left: what is known here need not be found out again.
    if (signal.aborted && collector.isDue({ hasMore: false })) await commit();
  } finally {
    // The next runner must not begin before this one writes no more jobs.
    await leave();
    unwatch();
    collector.close();
    await forgetting;
  }

  async function look(): Promise<void> {
    lookAtMs = performance.now() + LOOK_MS;
    const found = await runs.get(batchId);
    if (found === null) throw new BatchLost('gone');
    record = found;
    // What is known here has come in time.
    const isLeft = lines.count('collected') + lines.count('done') < lines.total;
    if (ending === null && isLeft && term.now() >= record.expiresAt) await expire();
    if (record.state === 'cancelling') ending = 'batch_cancelled';
  }

  async function expire(): Promise<void> {
    written(await runs.expire(batchId, term.epoch));
    ending = 'batch_expired';
  }

  /** Throws where more is durable here than there, after which the batch is opened again. */
  async function compare(): Promise<void> {
    compareAtMs = performance.now() + COMPARE_MS;
    const believed = lines.inSystem();
    const there = new Set(await store.batches.linesInSystem(batchId));
    for (const line of believed) if (!there.has(line)) lines.lost(line);
    for (const line of there) lines.found(line);
    const found = await runs.get(batchId);
    if (found === null) throw new BatchLost('gone');
    if (found.completed + found.failed !== lines.count('done')) throw new StaleRun();
  }

  /** Returns how many. */
  async function collectEnded(): Promise<number> {
    if (held.isFull()) return 0;
    const ended = await runs.ended(batchId, { limit: PAGE, except: lines.collectedLines() });
    const isTimeUp = ended.some(({ job }) => job !== null && hasRunOutOfTime(record, job));
    // Before one of its lines says so, or the batch might end as if it had been in time.
    if (ending === null && isTimeUp) await expire();
    for (const { line, job } of ended) collect(await outcomeOf(line, job));
    return ended.length;
  }

  async function outcomeOf(line: number, job: JobRecord | null): Promise<LineOutcome> {
    if (job?.batch === undefined) {
      return unanswered(await named(line, { record, texts }), 'job_deleted', null);
    }
    const { customId } = job.batch;
    return outcomeOfJob({ batch: record, line, customId }, job, { ending });
  }

  /** Cancels what is in the system; what is not gets the batch's end for its outcome. Returns how many. */
  async function endTheRest(left: NonNullable<BatchEnding>): Promise<number> {
    const toCancel = lines.inSystem().filter((line) => !asked.has(line));
    await inTurns(toCancel, CANCELS_AT_ONCE, async (line) => {
      await store.cancel(lineJobId(batchId, line));
      asked.add(line);
    });
    // One whose writing failed may have a job after all; nothing more is written from now on.
    if (lines.count('taken') > 0 || held.isFull()) return 0;
    if (!isSettled) await compare();
    isSettled = true;
    const rest = lines.pending(PAGE);
    for (const line of rest) {
      collect(unanswered(await named(line, { record, texts }), left, null));
    }
    return rest.length;
  }

  async function commitIfDue(): Promise<void> {
    const hasMore = lines.count('pending') + lines.count('taken') + lines.count('in_system') > 0;
    if (collector.isDue({ hasMore })) await commit();
  }

  async function commit(): Promise<void> {
    const durable = await collector.commit();
    lines.done(durable);
    // There is room for others, of this batch or not.
    if (durable.length > 0) feeder.wake();
    await forgetting;
    // What is not forgotten now is when the batch is over.
    forgetting = runs.forget(batchId, durable).catch(() => {});
  }
}

/** Whose outcome it is, as far as the input file still says. */
async function named(
  line: number,
  { record, texts }: { record: BatchRecord; texts: LineTexts },
): Promise<OutcomeOf> {
  const found = await texts.read(line).catch((error: unknown) => {
    if (error instanceof QarrError) return null;
    throw error;
  });
  return { batch: record, line, customId: found?.customId ?? '' };
}

async function inTurns<Item>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const left = items[Symbol.iterator]();
  const workers = Array.from({ length: atOnce }, async () => {
    for (const item of left) await work(item);
  });
  await Promise.all(workers);
}
