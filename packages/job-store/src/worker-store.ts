/**
 * The job store as a worker sees it: claim what the queue delivers, write its events, end it.
 * It never gives up on Redis: what cannot be written now is written when Redis is back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { engineRequestSchema } from '@qarr/router-core';
import type { EngineRequest, JobState, OnInterrupt, WorkerStatus } from '@qarr/router-core';
import { createClosing } from './closing.ts';
import { connectWorker, disconnect, subscribe, whenReady } from './connections.ts';
import { createConsumer } from './consumer.ts';
import type { Consumer, Delivery } from './consumer.ts';
import { createEventLog } from './event-log.ts';
import type { AttemptLog, StopReason } from './event-log.ts';
import { createKeys } from './keys.ts';
import { createQueues } from './queues.ts';
import type { QueueEntry } from './queues.ts';
import { checkRedis } from './redis-check.ts';
import type { RedisProblems } from './redis-check.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';
import { readSoFar } from './so-far.ts';
import type { SoFar } from './so-far.ts';
import { createWorkers } from './workers.ts';

/** A job that has ended this many workers is not given to another. */
const DEATHS_MAX = 3;
const RETRY_MS = 200;

/** A job that this worker may run now. Times are milliseconds. */
export interface ClaimedJob {
  readonly jobId: string;
  readonly attempt: number;
  /** Tries that have failed before. */
  readonly failures: number;
  /** Attempts that were spared: no engine took the request. */
  readonly spared: number;
  /** From the submission to this job's first start, by Redis's clock. */
  readonly queueWaitMs: number;
  /** What is left of the time that it may run. */
  readonly runLeftMs: number;
  readonly onInterrupt: OnInterrupt;
  readonly request: EngineRequest;
  /** W3C trace context of the request that made the job. */
  readonly traceparent: string | null;
}

export type Claim =
  | {
      kind: 'run';
      job: ClaimedJob;
      openLog: (onStop: (reason: StopReason) => void) => AttemptLog;
      /** What was published before and shall be carried on; null when the answer begins here. */
      readSoFar: () => Promise<SoFar | null>;
    }
  | { kind: 'drop'; reason: 'gone' | 'stale' | JobState };

export interface WorkerStore {
  /** What is wrong with Redis's settings. */
  check(): Promise<RedisProblems>;
  claim(entry: QueueEntry, delivery: { worker: string; token: string }): Promise<Claim>;
  consume(options: {
    concurrency: number;
    paused: boolean;
    deliver: Parameters<typeof createConsumer>[0]['deliver'];
  }): Consumer;
  /** Entries of this tier's queue that could be pulled now. */
  waiting(): Promise<number>;
  beat(status: WorkerStatus): Promise<void>;
  leave(workerId: string): Promise<void>;
  stop(): Promise<void>;
}

export type { Delivery };

export async function createWorkerStore({
  redisUrl,
  root,
  tier,
  onCancel,
  onError,
}: {
  redisUrl: string;
  /** First part of every Redis key. */
  root?: string | undefined;
  tier: string;
  /** Somebody asks to cancel this job, which may or may not run here. */
  onCancel: (jobId: string) => void;
  onError: (error: Error) => void;
}): Promise<WorkerStore> {
  const keys = createKeys(root);
  const redis = connectWorker({ redisUrl, onError });
  await whenReady(redis);
  const closing = createClosing({ redis, keys });
  const log = createEventLog({ redis, keys, closing, onError });
  const queues = createQueues({ redis, keys, tiers: [tier], onError });
  const workers = createWorkers({ redis, keys });
  // A control message that is lost costs nothing: the next append reports the cancellation too.
  const control = await subscribe({
    redisUrl,
    onError,
    channel: keys.controlChannel,
    onReady: () => {},
    onMessage(message) {
      const [verb, jobId] = message.split(' ');
      if (verb === 'cancel' && jobId !== undefined) onCancel(jobId);
    },
  });
  let consumer: Consumer | null = null;

  /** The job is claimed: there is no way back but by reading. */
  async function soFarOf(jobId: string, continued: number): Promise<SoFar> {
    for (;;) {
      try {
        return await readSoFar({ redis, logKey: keys.log(jobId), continued });
      } catch (error) {
        onError(error as Error);
        // The store was stopped.
        if (redis.status === 'end') throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  return {
    check: () => checkRedis(redis),

    async claim({ jobId, epoch }, { worker, token }) {
      const reply = (await runScript(redis, 'claim', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [
          jobId,
          epoch,
          worker,
          token,
          DEATHS_MAX,
          DUE_EVENTS.expired,
          DUE_EVENTS.cancelledUnrun,
          DUE_EVENTS.cancelledAfterRun,
          DUE_EVENTS.ranTooLong,
          DUE_EVENTS.poison,
          DUE_EVENTS.workerLost,
        ],
      })) as ClaimReply;
      if (reply[0] === 'drop') {
        if (reply[1] !== 'stale') closing.close(jobId).catch(onError);
        return { kind: 'drop', reason: reply[1] };
      }
      redis.zrem(keys.deadlines, jobId).catch(onError);
      const [, attempt, nextSeq, failures, spared, now, createdAt, startedAt, ...rest] = reply;
      const [runTimeoutMs, onInterrupt, request, traceparent, continued, hasText] = rest;
      return {
        kind: 'run',
        job: {
          jobId,
          attempt,
          failures,
          spared,
          queueWaitMs: startedAt - createdAt,
          runLeftMs: startedAt + runTimeoutMs - now,
          onInterrupt,
          request: engineRequestSchema.parse(JSON.parse(request)),
          traceparent: traceparent || null,
        },
        openLog: (onStop) => log.openAttempt({ jobId, attempt, nextSeq, onStop }),
        readSoFar: async () => (hasText === 1 ? soFarOf(jobId, continued) : null),
      };
    },

    consume(options) {
      consumer = createConsumer({ redis, keys, tier, onError, ...options });
      return consumer;
    },

    waiting: () => queues.waiting(tier),
    beat: (status) => workers.beat(tier, status),
    leave: (workerId) => workers.leave(tier, workerId),

    async stop() {
      await consumer?.stop();
      await control.stop();
      await queues.stop();
      await disconnect(redis);
    },
  };
}

type ClaimReply =
  | ['drop', 'gone' | 'stale' | JobState]
  | [
      'run',
      attempt: number,
      nextSeq: number,
      failures: number,
      spared: number,
      now: number,
      createdAt: number,
      startedAt: number,
      runTimeoutMs: number,
      onInterrupt: OnInterrupt,
      request: string,
      traceparent: string,
      continued: number,
      hasText: 0 | 1,
    ];
