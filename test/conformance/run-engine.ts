/**
 * Asks any engine what can be asked of all: no faults, no second engine, no undisturbed text. It is
 * judged by shape.
 */
import { randomBytes } from 'node:crypto';
import { judgeLog, textsOf } from './judge.ts';
import { requestOf } from './run-job.ts';
import type { Verdict } from './run-rows.ts';
import { ANSWERS } from './rows/answers.ts';
import { RAW_PROMPTS } from './rows/raw-prompts.ts';
import type { TableRow } from './table.ts';
import { createJobs } from './world/jobs.ts';
import type { Jobs } from './world/jobs.ts';
import { startWorker } from './world/worker.ts';

const JOBS_AT_ONCE = 4;
/** Whatever it is, the engine is not done with it when the job is cancelled. */
const LONG_TOKENS = 2_000;

export interface EngineResult {
  readonly row: TableRow;
  readonly verdict: Verdict;
}

export async function runEngine({
  redisUrl,
  url,
  model,
  apiKey,
}: {
  redisUrl: string;
  url: string;
  model: string;
  apiKey: string | undefined;
}): Promise<EngineResult[]> {
  const tier = `test-${randomBytes(6).toString('hex')}`;
  const jobs = await createJobs({ redisUrl, tier });
  try {
    const worker = await startWorker({
      redisUrl,
      tier,
      model,
      engineUrls: [url],
      apiKey,
      jobsPerEngine: JOBS_AT_ONCE,
      patience: 'production',
    });
    try {
      await worker.untilReady();
      const rows = [...ANSWERS, ...RAW_PROMPTS].filter(({ isForAll }) => isForAll);
      const results = await Promise.all(
        rows.map(async (row) => ({ row, verdict: await runRow(row, jobs) })),
      );
      const row: TableRow = { section: 'interruptions', name: 'cancelled in the middle' };
      return [...results, { row, verdict: await runCancelled(jobs) }];
    } finally {
      await worker.stop();
    }
  } finally {
    await jobs.stop();
  }
}

async function runRow(row: (typeof ANSWERS)[number], jobs: Jobs): Promise<Verdict> {
  const request = requestOf(row, 1);
  const jobId = jobs.create();
  await jobs.submit(jobId, { request, onInterrupt: 'continue', traceparent: newTraceparent() });
  const outcome = await jobs.untilOver(jobId);
  const last = outcome.events.at(-1);
  if (last?.type === 'failed' && last.error.code === 'upstream_rejected' && row.isOptional) {
    return { kind: 'not applicable' };
  }
  const seen = { persona: null, request, outcome, requests: [], reference: null };
  const tokens = last?.type === 'completed' ? (last.usage?.completion_tokens ?? 0) : 0;
  const problems = [
    ...judgeLog(outcome),
    ...(last?.type === 'failed' ? [`${last.error.code}: ${last.error.message}`] : []),
    ...(last?.type === 'completed' && tokens === 0 ? ['no usage'] : []),
    ...(textsOf(outcome.events).join('') === '' ? ['no text'] : []),
    ...(last?.type === 'completed' ? (row.check?.(seen) ?? []) : []),
  ];
  return problems.length === 0 ? { kind: 'ok' } : { kind: 'failed', problems };
}

async function runCancelled(jobs: Jobs): Promise<Verdict> {
  const request = requestOf({ name: 'all there is', request: { max_tokens: LONG_TOKENS } }, 1);
  const jobId = jobs.create();
  await jobs.submit(jobId, { request, onInterrupt: 'continue', traceparent: newTraceparent() });
  await jobs.untilBegun(jobId);
  await jobs.cancel(jobId);
  const outcome = await jobs.untilOver(jobId);
  const { state } = outcome.record;
  const problems = [
    ...judgeLog(outcome),
    // An engine may be faster than whoever cancels.
    ...(state === 'cancelled' || state === 'completed' ? [] : [`it is ${state}`]),
  ];
  return problems.length === 0 ? { kind: 'ok' } : { kind: 'failed', problems };
}

function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}
