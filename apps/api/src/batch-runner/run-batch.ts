/**
 * The life of one batch, as its runner sees it. Read this first.
 *
 * 1. *Opened.* From now on nothing that an earlier runner wrote late is taken. What the batch has come
 *    to is in Redis and in the file store, and nowhere else: whoever opens it goes on from there, after
 *    a crash as after any error.
 * 2. *Validated.* Its file is read once: the batch fails, or has an index of its lines.
 * 3. *Worked off* (`work-off.ts`). Lines are fed as jobs (`feeding.ts`, `feed-line.ts`); those that
 *    have ended are collected and made durable (`collecting.ts`), until each line has its outcome. Where
 *    it is cancelled, or its time is up, nothing more is fed, what is in the system is cancelled, and
 *    each line that is left has that for its outcome.
 * 4. *Finalized.* The two files are written; then the batch is over. What it was made of goes some time
 *    later (`tidy.ts`), as Redis may lose its last moment.
 *
 * Every write for a batch names the epoch of the term. One that is refused ends the run.
 */
import { FileStoreError } from '@qarr/file-store';
import type { OpenedBatch } from '@qarr/job-store';
import { contentOf, isBatchOver } from '@qarr/router-core';
import type { BatchError, BatchRecord } from '@qarr/router-core';
import { findBelonging, isOurs } from '../files/deployment-id.ts';
import { BatchLost, written } from './batch-run.ts';
import type { BatchRun } from './batch-run.ts';
import { OutcomesDamaged, finalizeBatch } from './finalize-batch.ts';
import { readLineIndex, writeLineIndex } from './line-index.ts';
import type { LineIndex } from './line-index.ts';
import { validateBatch } from './validate-batch.ts';
import { workOff } from './work-off.ts';

/** A client that sees this many corrects its file and tries again. */
const ERRORS_MAX = 100;

/** Until then somebody may bring back what is missing in the file store. */
const LOST_AFTER_MS = 600_000;

/** Resolves when the batch is over, or its run's signal is aborted. Throws a BatchLost, or what went wrong. */
export async function runBatch(run: BatchRun): Promise<void> {
  let opened = await open(run);
  if (opened.record.state === 'validating') {
    const done = await run.deps.validations.take(opened.record.owner, run.signal);
    if (done === null) return;
    await validate(opened.record, run).finally(done);
    opened = await open(run);
  }
  const { record } = opened;
  if (isBatchOver(record.state)) return;
  if (record.completed + record.failed < record.total) {
    const index =
      (await readLineIndex(run.deps.files, run.batchId)) ?? (await indexAgain(record, run));
    await workOff(opened, index, run);
    if (run.signal.aborted) return;
  }
  await finalize(run);
}

async function open({ batchId, term, deps }: BatchRun): Promise<OpenedBatch> {
  const opened = await deps.store.batchRuns.open(batchId, term.epoch);
  if (opened === 'fenced' || opened === 'gone') throw new BatchLost(opened);
  return opened;
}

async function validate(record: BatchRecord, run: BatchRun): Promise<void> {
  const { batchId, term, deps, log } = run;
  const found = await readAndIndex(record, run).catch((error: unknown) => {
    if (!(error instanceof FileStoreError) || term.now() < record.expiresAt) throw error;
    return { kind: 'invalid' as const, errors: [NEVER_READ] };
  });
  if (found.kind === 'invalid') {
    const { errors } = found;
    written(await deps.store.batchRuns.validated(batchId, term.epoch, { errors }));
    log.info(
      { errors: errors.length },
      'batch failed: its file is not valid, or could not be read in time',
    );
    return;
  }
  const { total, model } = found;
  written(await deps.store.batchRuns.validated(batchId, term.epoch, { total, model }));
  log.info({ lines: total }, 'batch validated');
}

async function readAndIndex(record: BatchRecord, run: BatchRun): ReturnType<typeof readInput> {
  const found = await readInput(record, run);
  if (found.kind === 'invalid') return found;
  const { batchId, deps, signal } = run;
  // Before the batch has lines that would be looked up in it.
  await writeLineIndex(deps.files, { batchId, index: found.index, signal });
  return found;
}

/** The index is gone or damaged. */
async function indexAgain(record: BatchRecord, run: BatchRun): Promise<LineIndex | null> {
  const found = await readInput(record, run);
  // Its file is not the one that was validated, or is gone as well.
  if (found.kind === 'invalid' || found.total !== record.total) return null;
  await writeLineIndex(run.deps.files, {
    batchId: run.batchId,
    index: found.index,
    signal: run.signal,
  });
  run.log.warn('the index of the batch was made again');
  return found.index;
}

async function readInput(
  { inputFileId, endpoint }: BatchRecord,
  { signal, deps: { files, watch, config } }: BatchRun,
): ReturnType<typeof validateBatch> {
  const stored = await files.read(contentOf(inputFileId));
  if (stored === null) return { kind: 'invalid', errors: [INPUT_GONE] };
  try {
    return await validateBatch(stored.content, {
      endpoint,
      policy: watch.policy(),
      servedModels: watch.servedModels(),
      limits: { ...config.limits, errorsMax: ERRORS_MAX },
      signal,
    });
  } finally {
    stored.content.destroy();
  }
}

/** Of how many lines nobody knows, so that it cannot expire with an outcome for each. */
const NEVER_READ = {
  code: 'batch_expired',
  message: "The batch's time was up before its file could be read: the file store did not answer.",
  param: null,
  line: null,
};

const INPUT_GONE = {
  code: 'file_not_found',
  message: 'The input file is gone.',
  param: 'input_file_id',
  line: null,
};

async function finalize(run: BatchRun): Promise<void> {
  const { batchId, term, deps, log, signal } = run;
  const runs = deps.store.batchRuns;
  written(await runs.finalizing(batchId, term.epoch));
  const { record, segments } = await open(run);
  const options = {
    store: deps.files,
    files: deps.store.files,
    /** One that was frozen, and is no more the batch's, brings back no file that was deleted since. */
    stillOurs: async () => written(await runs.finalizing(batchId, term.epoch)),
    signal,
  };
  const files = await finalizeBatch(record, segments, options).catch(async (error: unknown) => {
    if (!(error instanceof OutcomesDamaged) || !(await isLost(record, run))) throw error;
    log.warn('outcomes of the batch are gone from the file store: it gets what is left');
    return finalizeBatch(record, segments, { ...options, isLost: true });
  });
  const { lostLines, ...ids } = files;
  const errors = lostLines === 0 ? [] : [lostError(lostLines)];
  written(await runs.finish(batchId, term.epoch, { ...ids, errors }));
  const end = await runs.get(batchId);
  const { completed, failed } = record;
  log.info({ state: end?.state, completed, failed }, 'batch over');
}

/** It has been tried for long enough, and it is the place where they were. */
async function isLost(record: BatchRecord, { term, deps }: BatchRun): Promise<boolean> {
  const since = Math.max(record.finalizingAt ?? 0, record.cancellingAt ?? 0);
  if (term.now() - since < LOST_AFTER_MS) return false;
  const belonging = await findBelonging({ files: deps.files, records: deps.store.files });
  return belonging.inRedis === null || isOurs(belonging);
}

function lostError(lines: number): BatchError {
  const message = `The outcomes of ${lines} lines are gone from the file store, or were damaged there. The files have all others.`;
  return { code: 'outcomes_lost', message, param: null, line: null };
}
