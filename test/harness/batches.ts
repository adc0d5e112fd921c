/** Batches and the jobs of their lines, for tests of the job store. */
import { randomUUID } from 'node:crypto';
import type { BatchRuns, Commit, ProducerStore, RunnerLease, WorkerStore } from '@qarr/job-store';
import { lineJobId } from '@qarr/router-core';
import type { NewBatch, NewJob } from '@qarr/router-core';
import { ANYWHERE, newJob } from './store.ts';
import { waitUntil } from './wait-until.ts';

export function newBatch(fields: Partial<NewBatch> = {}): NewBatch {
  return {
    id: `batch_${randomUUID().replaceAll('-', '')}`,
    owner: 'ann',
    endpoint: '/v1/chat/completions',
    inputFileId: 'file-in',
    completionWindow: '24h',
    windowMs: 86_400_000,
    metadata: null,
    quota: null,
    webhookUrl: null,
    outputKeptMs: 60_000,
    ...fields,
  };
}

type Line = Pick<NewBatch, 'id' | 'owner'>;

export function lineJob(
  { id: batchId, owner }: Line,
  line: number,
  fields: Partial<NewJob> = {},
): NewJob {
  return newJob({
    id: lineJobId(batchId, line),
    owner,
    class: 'batch',
    fallback: 'none',
    batch: { batchId, line, customId: `line-${line}` },
    ...fields,
  });
}

export async function feed(
  store: Pick<ProducerStore, 'submit'>,
  batch: Line,
  line: number,
  fields: Partial<NewJob> = {},
) {
  return store.submit(lineJob(batch, line, fields), ANYWHERE);
}

/** Runs the job of a line that waits. Returns false where there is nothing to run. */
export async function runLine(worker: WorkerStore, batch: Line, line: number): Promise<boolean> {
  const entry = { jobId: lineJobId(batch.id, line), epoch: 1, class: 'batch' } as const;
  const claimed = await worker.claim(entry, { worker: 'w', token: randomUUID() });
  if (claimed.kind !== 'run') return false;
  const log = claimed.openLog(() => {});
  const timings = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };
  await log.finish({
    event: { type: 'completed', finish_reason: 'stop', usage: null, timings },
    result: { text: 'Hi', finish_reason: 'stop' },
  });
  return true;
}

export async function takeLease(runs: BatchRuns, runnerId: string = randomUUID()) {
  return waitUntil<RunnerLease | null>('the lease is free', () => runs.lease(runnerId));
}

/** A worker says that a job has ended after its last event. */
export async function untilEnded(
  runs: BatchRuns,
  { id }: Pick<NewBatch, 'id'>,
  lines: readonly number[],
) {
  return waitUntil(`lines ${lines.join()} have ended`, async () => {
    const ended = await runs.ended(id, { limit: 1_000, except: new Set() });
    return ended.length === lines.length ? ended : null;
  });
}

/** All of them completed, in a segment of this name. */
export function commitOf(
  lines: readonly number[],
  { name = randomUUID(), failed = 0 }: { name?: string; failed?: number } = {},
): Commit {
  const outputLines = lines.length - failed;
  return {
    segment: {
      name,
      outputLines,
      outputBytes: 10 * outputLines,
      errorLines: failed,
      errorBytes: 20 * failed,
    },
    lines,
    usage: {
      promptTokens: 3 * outputLines,
      cachedTokens: outputLines,
      completionTokens: 2 * outputLines,
      reasoningTokens: outputLines,
    },
  };
}

/** The lines that are done; the first one is in the highest bit of byte 0. */
export function linesOf(done: Uint8Array): number[] {
  const lines = Array.from({ length: 8 * done.length }, (_, at) => at);
  return lines.filter((at) => ((done[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0);
}
