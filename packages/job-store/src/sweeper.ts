/**
 * The sweep: ends what nobody else has ended in time, mends what a crash has left, forgets what is
 * over, and cancels what was bound to replicas that are gone. Several sweepers at once do no harm:
 * each step is one script or idempotent.
 *
 * Each part has a limit for one sweep, so that a sweep costs so much and no more, however many jobs
 * there are: a pass over all of them then takes several sweeps.
 */
import type { JobState } from '@qarr/router-core';
import { isTerminalState } from '@qarr/router-core';
import type { RedisClient } from './redis-client.ts';
import type { BatchLines } from './batch-lines.ts';
import type { Closing } from './closing.ts';
import { WORKER_GRACE_MS } from './deadlines.ts';
import type { JobChanges } from './job-changes.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import { createLedgerAudit } from './ledger-audit.ts';
import { createMending } from './mending.ts';
import type { OwnerIndex } from './owner-index.ts';
import { createQueueAudit } from './queue-audit.ts';
import type { Queues } from './queues.ts';
import type { Replicas } from './replicas.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScriptForEach } from './scripts.ts';
import { redisNow } from './workers.ts';

/** Jobs or entries looked at in one sweep, of each kind: some milliseconds of Redis's time. */
const SWEEP_JOBS = 500;
/** Of those, how many are written about at once, so that nobody waits behind them. */
const BATCH = 50;
/** All open jobs are looked at once in so long, or more slowly where there are very many. */
const PASS_EVERY_MS = 10_000;

export interface Sweeper {
  sweep(): Promise<void>;
}

export function createSweeper({
  redis,
  keys,
  queues,
  ledger,
  closing,
  index,
  lines,
  replicas,
  changes,
  mendAfterMs,
  passEveryMs = PASS_EVERY_MS,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  queues: Queues;
  ledger: Ledger;
  closing: Closing;
  index: OwnerIndex;
  lines: Pick<BatchLines, 'opened'>;
  replicas: Pick<Replicas, 'sweep'>;
  changes: Pick<JobChanges, 'tell'>;
  /** Jobs younger than this are left alone: they may still be on their way to their queue. */
  mendAfterMs: number;
  passEveryMs?: number | undefined;
  onError: (error: Error) => void;
}): Sweeper {
  const mending = createMending({ redis, keys, queues, ledger, closing, index, lines, onError });
  const audit = createQueueAudit({ redis, keys, queues, onError });
  const ledgerAudit = createLedgerAudit({
    redis,
    keys,
    tiers: queues.tiers,
    ledger,
    newForMs: mendAfterMs,
  });
  const openPass = createPass(passEveryMs);
  const queuePass = createPass(passEveryMs);
  const ledgerPass = createPass(passEveryMs);
  /** Position of the pass over the open jobs, from the oldest. */
  let rank = 0;

  /** One job that cannot be dealt with must not keep the others from it. */
  async function safely(deal: () => Promise<unknown>): Promise<void> {
    try {
      await deal();
    } catch (error) {
      onError(error as Error);
    }
  }

  /** Ends the jobs that are due; those that are not, after all, are looked at again when they are. */
  async function expire(jobIds: readonly string[], now: number): Promise<void> {
    const calls = jobIds.map((jobId) => ({
      keys: [keys.job(jobId), keys.log(jobId)],
      args: [
        jobId,
        WORKER_GRACE_MS,
        DUE_EVENTS.expired,
        DUE_EVENTS.ranTooLong,
        DUE_EVENTS.cancelledAfterRun,
      ],
    }));
    const replies = (await runScriptForEach(redis, 'expire', calls)) as ExpireReply[];
    await Promise.all(
      jobIds.map((jobId, at) =>
        safely(async () => {
          const reply = replies[at] ?? new Error('No reply');
          if (reply instanceof Error) throw reply;
          const [state, due] = reply;
          if (state === 'gone') return forgetUnlessNew(jobId, now);
          // Of one that had ended before, nothing was due.
          if (isTerminalState(state) && due > 0) await changes.tell(jobId, state);
          if (isTerminalState(state)) return closing.close(jobId);
          return redis.zadd(keys.deadlines, 'XX', due, jobId);
        }),
      ),
    );
  }

  /** A job is entered in the indexes before it is written: a new one may be about to be. */
  async function forgetUnlessNew(jobId: string, now: number): Promise<void> {
    const enteredAt = await redis.zscore(keys.open, jobId);
    if (enteredAt === null || Number(enteredAt) <= now - mendAfterMs) await closing.close(jobId);
  }

  async function expireDue(now: number): Promise<void> {
    const due = await redis.zrangebyscore(keys.deadlines, 0, now, 'LIMIT', 0, SWEEP_JOBS);
    for (let at = 0; at < due.length; at += BATCH) await expire(due.slice(at, at + BATCH), now);
  }

  async function mendPage(now: number): Promise<void> {
    if (!openPass.isDue()) return;
    const last = rank + SWEEP_JOBS - 1;
    const page = await redis.zrange(keys.open, String(rank), String(last), 'WITHSCORES');
    const jobIds: string[] = [];
    for (let at = 0; at < page.length; at += 2) {
      if (Number(page[at + 1]) <= now - mendAfterMs) jobIds.push(page[at] ?? '');
    }
    for (let at = 0; at < jobIds.length; at += BATCH) {
      const batch = jobIds.slice(at, at + BATCH);
      // Those that have left the index make the ones behind them move up.
      rank += batch.length - (await mending.mend(batch));
    }
    if (jobIds.length < SWEEP_JOBS) {
      rank = 0;
      openPass.end();
    }
  }

  async function auditPage(): Promise<void> {
    if (queuePass.isDue() && (await audit.next(SWEEP_JOBS))) queuePass.end();
    if (ledgerPass.isDue() && (await ledgerAudit.next(SWEEP_JOBS))) ledgerPass.end();
  }

  return {
    async sweep() {
      const now = await redisNow(redis);
      await expireDue(now);
      await mendPage(now);
      await auditPage();
      await index.trim(now);
      await replicas.sweep();
    },
  };
}

type ExpireReply = Error | ['gone'] | [JobState, due: number];

/** A round over very many, in steps: the next one begins so long after this one has begun. */
function createPass(everyMs: number) {
  let begunMs: number | null = null;
  let nextMs = 0;
  return {
    isDue(): boolean {
      const nowMs = performance.now();
      if (begunMs === null && nowMs < nextMs) return false;
      begunMs ??= nowMs;
      return true;
    },
    end(): void {
      nextMs = (begunMs ?? 0) + everyMs;
      begunMs = null;
    },
  };
}
