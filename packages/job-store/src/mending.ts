/**
 * A page of the open jobs, looked at for what a crash may have left: an entry that never reached
 * its queue, an index that was not told, an end that was not closed. What there is to know of a
 * page is read at once; only what is wrong costs more.
 */
import { isTerminalState } from '@qarr/router-core';
import type { BatchLineRef, JobClass, JobState } from '@qarr/router-core';
import type { ChainableCommander } from 'ioredis';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Closing } from './closing.ts';
import { cancelDeadline, runDeadline } from './deadlines.ts';
import { queueOf } from './keys.ts';
import type { Keys } from './keys.ts';
import { RETURNING_PRIORITY } from './ledger.ts';
import type { Ledger } from './ledger.ts';
import type { OwnerIndex } from './owner-index.ts';
import type { Queues } from './queues.ts';

export interface Mending {
  /** Returns how many of these jobs have left the index of open jobs. */
  mend(jobIds: readonly string[]): Promise<number>;
}

interface OpenJob {
  readonly jobId: string;
  readonly tier: string;
  readonly epoch: number;
  readonly class: JobClass;
  readonly isRunning: boolean;
  readonly tokens: number;
  readonly isFallback: boolean;
  readonly startWithinMs: number;
  readonly owner: string;
  readonly createdAt: number;
  readonly hasStarted: boolean;
  readonly due: number;
  readonly line: BatchLineRef | null;
}

export function createMending({
  redis,
  keys,
  queues,
  ledger,
  closing,
  index,
  lines,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Queues;
  ledger: Ledger;
  closing: Closing;
  index: OwnerIndex;
  lines: Pick<BatchLines, 'opened'>;
  onError: (error: Error) => void;
}): Mending {
  /** Null for a job that is over or gone; left out where it cannot be read. */
  async function read(jobIds: readonly string[]): Promise<Map<string, OpenJob | null>> {
    const replies = await pipelined(jobIds, (pipeline, jobId) =>
      pipeline.hmget(
        keys.job(jobId),
        'state',
        'tier',
        'epoch',
        'class',
        'owner',
        'created_at',
        'attempt',
        'queue_deadline',
        'started_at',
        'run_timeout_ms',
        'cancel',
        'cancel_at',
        'cost',
        'rerouted',
        'batch',
      ),
    );
    const jobs = new Map<string, OpenJob | null>();
    for (const [at, jobId] of jobIds.entries()) {
      const [error, values] = replies[at] ?? [new Error('No reply'), null];
      if (error === null) jobs.set(jobId, openJob(jobId, values as (string | null)[]));
      // One job that cannot be read must not keep the others from being looked at.
      else onError(error);
    }
    return jobs;
  }

  async function pipelined<Item>(
    items: readonly Item[],
    add: (pipeline: ChainableCommander, item: Item) => void,
  ): Promise<[Error | null, unknown][]> {
    const pipeline = pipelineOf(redis);
    for (const item of items) add(pipeline, item);
    return (await pipeline.exec()) ?? [];
  }

  /** What is wrong with each of these jobs, as what to do about it. */
  async function repairsFor(jobs: readonly OpenJob[]): Promise<Map<string, (() => unknown)[]>> {
    const known = jobs.filter(({ tier }) => queues.has(tier));
    const [missing, replies] = await Promise.all([
      queues.missing(known.map((job) => ({ ...job, queue: queueOf(job.class) }))),
      pipelined(jobs, (pipeline, { jobId, owner, tier, line }) => {
        pipeline.zscore(keys.deadlines, jobId);
        if (line === null) pipeline.zscore(keys.jobsOf(owner, 'open'), jobId);
        else pipeline.sismember(keys.batch(line.batchId)[3], line.line);
        pipeline.zscore(keys.started, jobId).hget(keys.ledger(tier)[0], jobId);
      }),
    ]);
    const isMissing = new Set(known.filter((_, at) => missing[at]).map(({ jobId }) => jobId));
    const repairs = new Map<string, (() => unknown)[]>();
    for (const [at, job] of jobs.entries()) {
      const [due, opened, started, entered] = [0, 1, 2, 3].map(
        // Zero where a batch lacks its line.
        (part) => (replies[4 * at + part]?.[1] || null) as string | null,
      );
      const todo: (() => unknown)[] = [];
      // Also one that is `running`: where its entry is lost, nobody would take it over.
      if (isMissing.has(job.jobId)) todo.push(() => enqueue(job));
      // One that changes just now is put right in the next round.
      else if (entered?.startsWith(job.isRunning ? 'r' : 'w') !== true) todo.push(() => enter(job));
      if (due === null || Number(due) > job.due) {
        todo.push(() => redis.zadd(keys.deadlines, job.due, job.jobId));
      }
      if (opened === null) {
        todo.push(() => (job.line === null ? index.opened(job) : lines.opened(job.line)));
      }
      if (started === null && job.hasStarted) {
        todo.push(() => redis.zadd(keys.started, job.createdAt, job.jobId));
      }
      if (todo.length > 0) repairs.set(job.jobId, todo);
    }
    return repairs;
  }

  /** Returns the priority of its entry. */
  async function enter(job: OpenJob): Promise<number> {
    const entered = await ledger.enter(job.tier, job, null);
    await (job.isRunning
      ? ledger.start(job.tier, job.jobId)
      : ledger.giveBack(job.tier, job.jobId));
    return entered.kind === 'entered' ? entered.priority : RETURNING_PRIORITY[job.class];
  }

  async function enqueue(job: OpenJob): Promise<void> {
    await queues.add(job.tier, job, await enter(job));
  }

  async function safely<Result>(deal: () => Promise<Result>): Promise<Result | null> {
    try {
      return await deal();
    } catch (error) {
      onError(error as Error);
      return null;
    }
  }

  return {
    async mend(jobIds) {
      const jobs = await read(jobIds);
      const over = [...jobs].filter(([, job]) => job === null).map(([jobId]) => jobId);
      const closed = await Promise.all(over.map((jobId) => safely(() => closing.close(jobId))));
      const repairs = await repairsFor([...jobs.values()].filter((job) => job !== null));
      for (const [jobId, todo] of repairs) {
        await safely(async () => {
          for (const repair of todo) await repair();
          // It may have ended meanwhile, and been closed before this.
          await closing.close(jobId);
        });
      }
      return closed.filter(Boolean).length;
    },
  };
}

function openJob(jobId: string, values: readonly (string | null)[]): OpenJob | null {
  const [state, tier, epoch, jobClass, owner, createdAt, attempt, ...times] = values;
  if (!state || !tier || isTerminalState(state as JobState)) return null;
  const [queueDeadline, startedAt, runTimeoutMs, cancel, cancelAt, cost, rerouted, line] = times;
  const hasStarted = Number(attempt) > 0;
  const due = hasStarted
    ? runDeadline({ startedAt: Number(startedAt), runTimeoutMs: Number(runTimeoutMs) })
    : Number(queueDeadline);
  return {
    jobId,
    tier,
    epoch: Number(epoch),
    class: jobClass as JobClass,
    isRunning: state === 'running',
    tokens: Number(cost ?? 1),
    isFallback: Boolean(rerouted),
    startWithinMs: Math.max(0, Number(queueDeadline) - Number(createdAt)),
    owner: owner ?? '',
    createdAt: Number(createdAt),
    hasStarted,
    line: line ? (JSON.parse(line) as BatchLineRef) : null,
    due: cancel === '1' ? Math.min(due, cancelDeadline(Number(cancelAt ?? 0))) : due,
  };
}
